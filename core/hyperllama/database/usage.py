"""What every key used, by day and model: counted in memory, written behind in batches, flushed at the end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from hyperllama.database.database import Database
from hyperllama.generation import Usage
from hyperllama.spi import Call

if TYPE_CHECKING:
    from sqlalchemy import Executable

WRITE_EVERY = 2.0
READ_EVERY = 5.0  # seconds after which what other gateways wrote counts here, where there are quotas
DAY = 86_400

log = structlog.get_logger(__name__)


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one key used of one model. ``requests`` are those let in; ``failed`` and ``cancelled`` are among them."""

    day: str  # UTC, "2026-11-24"; or what else the lines were added up by
    key: str
    model: str
    name: str = ""
    requests: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


class Totals(msgspec.Struct, frozen=True, gc=False):
    """Requests and tokens of one key, today and this month, in UTC."""

    day_requests: int = 0
    day_tokens: int = 0
    month_requests: int = 0
    month_tokens: int = 0


COUNTS = tuple(field for field in UsageRow.__struct_fields__ if field not in ("day", "key", "model", "name"))


class Ledger:
    """An Observer. Enter it before use: leaving it writes what is not written yet."""

    def __init__(self, database: Database, *, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._wall = wall
        self._pending: dict[tuple[str, str, str], list[int]] = {}  # day, key, model -> COUNTS
        self._names: dict[str, str] = {}  # of keys in pending
        self._stored: dict[str, dict[str, tuple[int, int]]] = {}  # key -> day -> requests, tokens; of this month
        self._watched = False  # someone asks for totals
        self._today = (-1, "")
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._said = float("-inf")
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Ledger:
        self._writer = asyncio.create_task(self._write_behind())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self._try_to_write()

    def finished(self, call: Call) -> None:
        """Count one call."""
        principal, outcome = call.caller.principal, call.outcome
        day, key = self._day(), principal.id
        self._names[key] = principal.name
        name = (day, key, call.info.name)
        counts = self._pending.get(name)
        if counts is None:
            counts = self._pending[name] = [0] * len(COUNTS)
            self._wake.set()
        if outcome == "refused":
            counts[0] += call.charged
            counts[3] += 1
            if self._watched and call.charged:
                self._count(day, key, call.charged, 0)
            return
        used = _used(call)
        counts[0] += call.charged
        counts[1] += outcome == "failed"
        counts[2] += outcome == "cancelled"
        counts[4] += used.prompt_tokens
        counts[5] += used.cached_tokens
        counts[6] += used.completion_tokens
        if self._watched:
            self._count(day, key, call.charged, used.total_tokens)

    async def watch(self) -> None:
        """Have totals ready from now on; reads the month once. Whatever the database raises goes through."""
        if not self._watched:
            await self.write(totals=True)
            self._watched = True

    @property
    def watched(self) -> bool:
        return self._watched

    def totals(self, key: str) -> Totals:
        """Today's and this month's, of this gateway to the call, of others to within a few seconds."""
        today = self._day()
        day, month = [0, 0], [0, 0]
        for when, (requests, tokens) in self._stored.get(key, {}).items():
            if when[:7] == today[:7]:
                month[0] += requests
                month[1] += tokens
                if when == today:
                    day[0] += requests
                    day[1] += tokens
        return Totals(day[0], day[1], month[0], month[1])

    async def write(self, *, totals: bool = False) -> None:
        """Write what is counted; with ``totals``, also read the month anew. Raises what the database raises."""
        async with self._writing:
            batch, self._pending = self._pending, {}
            try:
                stored = await self._write(batch, totals=totals)
            except BaseException:
                for name, counts in batch.items():
                    later = self._pending.get(name, [0] * len(COUNTS))
                    self._pending[name] = [a + b for a, b in zip(counts, later, strict=True)]
                raise
            if stored is not None:
                self._stored = stored
                for (day, key, _), counts in self._pending.items():
                    self._count(day, key, counts[0], counts[4] + counts[6])

    async def report(
        self, *, since: str = "", until: str = "9", by: Sequence[str] = ("day", "key", "model")
    ) -> list[UsageRow]:
        """Lines of the days ``since`` to ``until``, both included, added up by the given columns.

        By ``month``, a line's ``day`` is that ("2026-11").
        """
        from sqlalchemy import func, select

        from hyperllama.database.tables import usage

        month = func.substr(usage.c.day, 1, 7).label("day")
        groups = [month if column == "month" else usage.c[column] for column in by]
        sums = [func.sum(usage.c[count]).label(count) for count in COUNTS]
        query = (
            select(*groups, func.max(usage.c.name).label("name"), *sums)
            .where(usage.c.day >= since, usage.c.day <= until)
            .group_by(*groups)
            .order_by(*groups)
        )
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).mappings().all()
        blank = {"day": "", "key": "", "model": ""}
        return [msgspec.convert({**blank, **_plain(row)}, UsageRow) for row in rows]

    def _count(self, day: str, key: str, requests: int, tokens: int) -> None:
        days = self._stored.setdefault(key, {})
        before = days.get(day, (0, 0))
        days[day] = before[0] + requests, before[1] + tokens

    async def _write(
        self, batch: Mapping[tuple[str, str, str], list[int]], *, totals: bool
    ) -> dict[str, dict[str, tuple[int, int]]] | None:
        if not batch and not totals:
            return None
        engine = await self._database.open()
        from sqlalchemy import func, select

        from hyperllama.database.tables import usage

        async with engine.begin() as connection:
            if batch:
                rows = [
                    {"day": day, "key": key, "model": model, "name": self._names.get(key, "")}
                    | dict(zip(COUNTS, counts, strict=True))
                    for (day, key, model), counts in sorted(batch.items())  # one order: two gateways never dead-lock
                ]
                await connection.execute(_upsert(engine.dialect.name), rows)
            if not totals:
                return None
            tokens = func.sum(usage.c.prompt_tokens + usage.c.completion_tokens)
            month = select(usage.c.key, usage.c.day, func.sum(usage.c.requests), tokens)
            month = month.where(usage.c.day >= f"{self._day()[:7]}-01").group_by(usage.c.key, usage.c.day)
            stored: dict[str, dict[str, tuple[int, int]]] = {}
            for key, day, requests, used in await connection.execute(month):
                stored.setdefault(key, {})[day] = int(requests), int(used)
            return stored

    async def _write_behind(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READ_EVERY if self._watched else None):
                    await self._wake.wait()
                    await asyncio.sleep(WRITE_EVERY)
            self._wake.clear()
            await self._try_to_write()
            if len(self._names) > len(self._pending) + 4096:
                self._names = {key: self._names[key] for _, key, _ in self._pending}

    async def _try_to_write(self) -> None:
        try:
            await self.write(totals=self._watched)
        except Exception as error:  # noqa: BLE001 - whatever a database says, nothing counted is lost
            self._wake.set()
            if time.monotonic() - self._said >= 60:
                self._said = time.monotonic()
                log.warning("usage is not written and waits", reason=type(error).__name__, lines=len(self._pending))

    def _day(self) -> str:
        number = int(self._wall() // DAY)
        if number != self._today[0]:
            self._today = number, time.strftime("%Y-%m-%d", time.gmtime(number * DAY))
        return self._today[1]


def _used(call: Call) -> Usage:
    """As limits settle it: real use, or of a call cut short the prompt the engine had and the tokens made."""
    if call.usage is not None:
        return call.usage
    worked = call.submitted if call.outcome == "cancelled" else call.first
    return Usage(call.estimate if worked else 0, call.tokens)


def _upsert(dialect: str) -> Executable:
    from sqlalchemy.dialects import postgresql, sqlite

    from hyperllama.database.tables import usage

    insert = postgresql.insert(usage) if dialect == "postgresql" else sqlite.insert(usage)
    sums = {count: usage.c[count] + insert.excluded[count] for count in COUNTS}
    return insert.on_conflict_do_update(
        index_elements=["day", "key", "model"], set_={**sums, "name": insert.excluded.name}
    )


def _plain(row: Mapping[Any, Any]) -> dict[str, object]:
    """PostgreSQL's sums are Decimals."""
    return {str(name): value if isinstance(value, str) else int(str(value or 0)) for name, value in row.items()}


__all__ = ("Ledger", "Totals", "UsageRow")
