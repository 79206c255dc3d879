"""What protocols keep for their callers: seen here at once, written behind in batches, read from the database.

Whatever expires is dropped a minute after at the latest, and the oldest when all together are too many bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from hyperllama.database.database import Database
from hyperllama.errors import NotFound, Unavailable
from hyperllama.spi import Record

if TYPE_CHECKING:
    from sqlalchemy import Executable, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

WRITE_EVERY = 0.2  # seconds that writes are gathered
SWEEP_EVERY = 60.0
PENDING = 64 * 2**20  # bytes that wait to be written; more than that are not taken, and the log says so

Name: TypeAlias = tuple[str, str, str]  # kind, id, owner

log = structlog.get_logger(__name__)


class DatabaseRecords:
    """``hyperllama.spi.Records``. Enter it before use: leaving it writes what is not written yet."""

    def __init__(self, database: Database, *, max_bytes: int, wall: Callable[[], float] = time.time) -> None:
        """``max_bytes``: of all bodies together."""
        self._database = database
        self._max_bytes = max_bytes
        self._wall = wall
        self._pending: dict[Name, Record | None] = {}  # to be kept, or to be deleted
        self._bytes = 0
        self._writing: dict[Name, Record | None] = {}  # taken from pending, not committed yet
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._said = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> DatabaseRecords:
        self._task = asyncio.create_task(self._write_behind())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._try(self.write())

    def put(self, record: Record) -> None:
        if self._bytes + len(record.body) > PENDING:
            self._complain("records wait to be written and more are not taken", "full")
            return
        self._replace((record.kind, record.id, record.owner), record)

    def delete(self, kind: str, id: str, owner: str) -> None:
        self._replace((kind, id, owner), None)

    async def get(self, kind: str, id: str, owner: str) -> Record | None:
        name = (kind, id, owner)
        if name in self._pending:
            known = self._pending[name]
        elif name in self._writing:
            known = self._writing[name]
        else:
            from sqlalchemy import select

            from hyperllama.database.tables import records

            async with self._reading() as connection:
                wanted = (records.c.kind == kind) & (records.c.id == id) & (records.c.owner == owner)
                row = (await connection.execute(select(records).where(wanted))).one_or_none()
            known = _record(row) if row is not None else None
        return known if known is not None and known.expires > self._wall() else None

    async def page(
        self, kind: str, owner: str, *, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> Sequence[Record]:
        await self.settle()
        from sqlalchemy import or_

        from hyperllama.database.pages import page
        from hyperllama.database.tables import records

        own = (records.c.kind == kind) & (records.c.owner == owner)
        own &= or_(records.c.expires.is_(None), records.c.expires > self._wall())
        async with self._reading() as connection:
            rows = await page(connection, records, own, after=after, limit=limit, newest_first=newest_first)
        return [_record(row) for row in rows]

    async def settle(self) -> None:
        """Returns once everything put so far is in the database. Raises Unavailable."""
        if self._pending or self._writing:
            try:
                await self.write()
            except Exception as error:
                raise _unavailable() from error

    async def write(self) -> None:
        """Write what waits. Raises what the database raises, and then it waits on."""
        async with self._lock:
            self._writing, self._pending = self._pending, {}
            self._bytes = 0
            try:
                if self._writing:
                    async with self._database.begin() as connection:
                        await _apply(connection, self._writing)
            except BaseException:
                for name, change in self._writing.items():
                    if name not in self._pending:
                        self._replace(name, change)
                raise
            finally:
                self._writing = {}

    async def sweep(self) -> None:
        """Drop what has expired, and the oldest of what is too much. Raises what the database raises."""
        if not self._database.exists:
            return
        from sqlalchemy import delete, func, select

        from hyperllama.database.tables import records

        async with self._database.begin() as connection:
            await connection.execute(delete(records).where(records.c.expires <= self._wall()))
            total = await connection.scalar(select(func.coalesce(func.sum(func.length(records.c.body)), 0)))
            over = int(total or 0) - self._max_bytes
            if over <= 0:
                return
            dropped: list[tuple[str, str]] = []
            oldest = select(records.c.kind, records.c.id, func.length(records.c.body)).order_by(records.c.created)
            for kind, name, size in await connection.execute(oldest.limit(10_000)):
                if over <= 0:
                    break
                dropped.append((kind, name))
                over -= int(size)
            for kind, name in dropped:
                await connection.execute(delete(records).where((records.c.kind == kind) & (records.c.id == name)))
        log.info("the oldest records were dropped", count=len(dropped))

    def _replace(self, name: Name, change: Record | None) -> None:
        self._bytes += _size(change) - _size(self._pending.get(name))
        self._pending[name] = change
        self._wake.set()

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncGenerator[AsyncConnection, None]:
        try:
            async with self._database.begin() as connection:
                yield connection
        except NotFound:
            raise
        except Exception as error:
            self._complain("the database does not answer", type(error).__name__)
            raise _unavailable() from error

    async def _write_behind(self) -> None:
        swept = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_EVERY):
                    await self._wake.wait()
                    await asyncio.sleep(WRITE_EVERY)
            self._wake.clear()
            if self._pending and not await self._try(self.write()):
                await asyncio.sleep(1.0)
                self._wake.set()
            if time.monotonic() - swept >= SWEEP_EVERY:
                swept = time.monotonic()
                await self._try(self.sweep())

    async def _try(self, work: Awaitable[None]) -> bool:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever a database says, what waits is tried again
            self._complain("records are not written and wait", type(error).__name__)
            return False
        return True

    def _complain(self, what: str, reason: str) -> None:
        if time.monotonic() - self._said >= 60:
            self._said = time.monotonic()
            log.warning(what, reason=reason)


async def _apply(connection: AsyncConnection, changes: Mapping[Name, Record | None]) -> None:
    from sqlalchemy import delete

    from hyperllama.database.tables import records

    upsert = _upsert(connection.dialect.name)
    # One order: two gateways never dead-lock.
    for (kind, name, owner), change in sorted(changes.items(), key=itemgetter(0)):
        if change is not None:
            await connection.execute(upsert, [_row(change)])
            continue
        own = (records.c.kind == kind) & (records.c.id == name) & (records.c.owner == owner)
        await connection.execute(delete(records).where(own))


def _upsert(dialect: str) -> Executable:
    from sqlalchemy.dialects import postgresql, sqlite

    from hyperllama.database.tables import records

    insert = postgresql.insert(records) if dialect == "postgresql" else sqlite.insert(records)
    return insert.on_conflict_do_update(
        index_elements=["kind", "id"],
        set_={column: insert.excluded[column] for column in ("created", "expires", "body")},
        where=records.c.owner == insert.excluded.owner,
    )


def _row(record: Record) -> dict[str, Any]:
    return {
        "kind": record.kind,
        "id": record.id,
        "owner": record.owner,
        "created": record.created,
        "expires": None if math.isinf(record.expires) else record.expires,
        "body": record.body,
    }


def _record(row: Row[Any]) -> Record:
    return Record(
        kind=row.kind,
        id=row.id,
        owner=row.owner,
        created=row.created,
        expires=math.inf if row.expires is None else row.expires,
        body=bytes(row.body),
    )


def _size(change: Record | None) -> int:
    return len(change.body) if change is not None else 0


def _unavailable() -> Unavailable:
    return Unavailable("what was kept cannot be read at the moment", retry_after=5)


__all__ = ("DatabaseRecords",)
