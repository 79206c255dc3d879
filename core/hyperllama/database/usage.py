"""Usage of every key by day and model: counted in memory, written behind in batches, flushed at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

import msgspec

from hyperllama.database import sql
from hyperllama.database.database import Database
from hyperllama.database.write_behind import Turns, WriteBehind
from hyperllama.generation import Usage
from hyperllama.identity import IDLE_PRIORITY
from hyperllama.spi import Call

WRITE_EVERY = 2.0
READ_EVERY = 5.0  # seconds after which what other gateways wrote counts here, where there are quotas
HOLD = 60.0  # seconds that usage of a batch's line waits for its result to be committed
PENDING = 100_000  # rows that wait for the database; what is used beyond them is counted as lost
AT_ONCE = 1000  # rows in one transaction
DAY = 86_400


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of one model by one key. ``requests`` are those let in; ``failed`` and ``cancelled`` are among them."""

    day: str  # UTC, "2026-11-24"; or what else the rows were added up by
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

_Name = tuple[str, str, str]  # day, key, model
_Counts = list[int]  # COUNTS


class Ledger:
    """An Observer. Enter it before use: leaving it writes what is not written yet.

    Usage of a batch's line is held until its result is committed, and written in the same transaction, by
    :class:`BatchStore`; so a result and its usage are both there or neither.
    """

    def __init__(self, database: Database, *, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._wall = wall
        self._pending: dict[_Name, _Counts] = {}
        self._names: dict[str, str] = {}  # of keys, for people
        self._held: dict[str, tuple[float, dict[_Name, _Counts]]] = {}  # by request, with the time it was counted
        self._claimed: set[str] = set()  # of the held, those whose result waits to be committed
        self._stored: dict[str, dict[str, tuple[int, int]]] = {}  # key -> day -> requests, tokens; of this month
        self._watched = False  # quotas ask for totals
        self._today = (-1, "")
        self._turns = Turns()
        self._behind = WriteBehind(
            self._write_behind,
            "usage is not written and waits",
            gather=WRITE_EVERY,
            at_least=lambda: READ_EVERY if self._watched else (HOLD if self._held else None),
        )
        self.lost = 0  # rows that the database does not take, or that were too many while it was away

    async def __aenter__(self) -> Ledger:
        await self._behind.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for request in list(self._held):
            self.release(request)
        await self._behind.__aexit__(kind, error, trace)

    def finished(self, call: Call) -> None:
        """Count one call."""
        principal = call.caller.principal
        day, key = self._day(), principal.id
        self._names[key] = principal.name
        counts = _counts(call)
        name = (day, key, call.info.name)
        if principal.priority == IDLE_PRIORITY:  # a line of a batch; no key has this priority
            _, rows = self._held.setdefault(call.caller.request_id, (time.monotonic(), {}))
            _add(rows, name, counts)
        else:
            self._count(name, counts)
        if self._watched:
            self._count_total(day, key, counts[0], counts[4] + counts[6])

    def held(self, requests: Iterable[str]) -> Sequence[UsageRow]:
        """Return what these requests of batches used, for the transaction of their results; they are held on."""
        rows: dict[_Name, _Counts] = {}
        for request in requests:
            if request in self._held:
                self._claimed.add(request)
                for name, counts in self._held[request][1].items():
                    _add(rows, name, counts)
        return self._rows(rows)

    def booked(self, requests: Iterable[str]) -> None:
        """Forget what these requests used: it has been committed."""
        for request in requests:
            self._held.pop(request, None)
            self._claimed.discard(request)

    def release(self, request: str) -> None:
        """Have what this request used written behind: its result will not be committed."""
        _, rows = self._held.pop(request, (0.0, {}))
        self._claimed.discard(request)
        for name, counts in rows.items():
            self._count(name, counts)

    async def watch(self) -> None:
        """Keep totals from now on; reads the month once. Raises what the database raises."""
        if not self._watched:
            await self.write(totals=True)
            self._watched = True

    @property
    def watched(self) -> bool:
        """True if totals are kept."""
        return self._watched

    def totals(self, key: str) -> Totals:
        """Return today's and this month's totals: of this gateway to the call, of others to within a few seconds."""
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
        """Write what is counted; with ``totals``, also read the month anew. Raises what the database raises.

        A row that the database does not take is dropped, logged and counted in ``lost``: no other waits for it.
        When another write is under way and fails, so does this one: a database that is away is waited for once.
        """
        async with self._turns.take():
            self._release_old()
            while self._pending:
                names = sorted(self._pending)[:AT_ONCE]
                batch = {name: self._pending.pop(name) for name in names}
                try:
                    await self._write_rows(batch, names)
                finally:
                    for name, counts in batch.items():  # empty unless it raised
                        _add(self._pending, name, counts)
            if totals:
                await self._read_totals()
            self._names = {key: name for key, name in self._names.items() if len(self._names) < 4096}

    async def report(
        self, *, since: str = "", until: str = "9", by: Sequence[str] = ("day", "key", "model")
    ) -> list[UsageRow]:
        """Return rows of the days ``since`` to ``until``, both included, added up by the given columns.

        By ``month``, a row's ``day`` is that ("2026-11").
        """
        async with self._database.read() as connection:
            rows = await sql.usage.report(connection, since=since, until=until, by=by)
        blank = {"day": "", "key": "", "model": ""}
        return [msgspec.convert({**blank, **row}, UsageRow) for row in rows]

    def _count(self, name: _Name, counts: _Counts) -> None:
        if name not in self._pending and len(self._pending) >= PENDING:
            self.lost += 1
            self._behind.complain("usage is lost: too much waits to be written", "full")
            return
        _add(self._pending, name, counts)
        self._behind.wake()

    def _count_total(self, day: str, key: str, requests: int, tokens: int) -> None:
        days = self._stored.setdefault(key, {})
        before = days.get(day, (0, 0))
        days[day] = before[0] + requests, before[1] + tokens

    def _rows(self, counted: dict[_Name, _Counts]) -> Sequence[UsageRow]:
        return [
            UsageRow(
                day=day, key=key, model=model, name=self._names.get(key, ""), **dict(zip(COUNTS, counts, strict=True))
            )
            for (day, key, model), counts in counted.items()
        ]

    async def _write_rows(self, batch: dict[_Name, _Counts], names: Sequence[_Name]) -> None:
        """Write these of ``batch`` and take them out of it; where one is refused, by halves, down to that one."""
        rows = self._rows({name: batch[name] for name in names})
        try:
            async with self._database.begin() as connection:
                await sql.usage.add(connection, rows)
        except Exception as error:
            if not sql.engine.refused(error):
                raise
            if len(names) > 1:
                middle = len(names) // 2
                await self._write_rows(batch, names[:middle])
                await self._write_rows(batch, names[middle:])
                return
            self.lost += 1
            self._behind.complain("usage that the database does not take is dropped", type(error).__name__)
        for name in names:
            del batch[name]

    async def _read_totals(self) -> None:
        async with self._database.read() as connection:
            self._stored = await sql.usage.totals(connection, f"{self._day()[:7]}-01")
        held = (rows for _, rows in self._held.values())
        for rows in (self._pending, *held):
            for (day, key, _), counts in rows.items():
                self._count_total(day, key, counts[0], counts[4] + counts[6])

    async def _write_behind(self) -> None:
        await self.write(totals=self._watched)

    def _release_old(self) -> None:
        old = time.monotonic() - HOLD
        for request in [name for name, (since, _) in self._held.items() if since < old and name not in self._claimed]:
            self.release(request)

    def _day(self) -> str:
        number = int(self._wall() // DAY)
        if number != self._today[0]:
            self._today = number, time.strftime("%Y-%m-%d", time.gmtime(number * DAY))
        return self._today[1]


def _add(rows: dict[_Name, _Counts], name: _Name, counts: _Counts) -> None:
    there = rows.setdefault(name, [0] * len(COUNTS))
    for place, count in enumerate(counts):
        there[place] += count


def _counts(call: Call) -> _Counts:
    if call.outcome == "refused":
        return [call.charged, 0, 0, 1, 0, 0, 0]
    used = _used(call)
    failed, cancelled = int(call.outcome == "failed"), int(call.outcome == "cancelled")
    return [call.charged, failed, cancelled, 0, used.prompt_tokens, used.cached_tokens, used.completion_tokens]


def _used(call: Call) -> Usage:
    """Return what limits settle: real use, or of a call cut short the prompt the engine had and the tokens made."""
    if call.usage is not None:
        return call.usage
    worked = call.submitted if call.outcome == "cancelled" else call.first
    return Usage(call.estimate if worked else 0, call.tokens)


__all__ = ("COUNTS", "Ledger", "Totals", "UsageRow")
