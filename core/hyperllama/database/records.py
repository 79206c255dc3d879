"""Records of protocols for their callers: seen here at once, written behind in batches, read from the database.

Expired ones are dropped a minute after at the latest. A key's own oldest go when it keeps more than its share, and
where all together are too much, the oldest of those who keep most.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import structlog

from hyperllama.config import Store
from hyperllama.database import sql
from hyperllama.database.database import Database
from hyperllama.database.write_behind import Turns, WriteBehind
from hyperllama.errors import NotFound, Unavailable
from hyperllama.spi import Record

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

WRITE_EVERY = 0.2  # seconds that writes are gathered
SWEEP_EVERY = 60.0
SWEEP_WITHIN = 60.0
PENDING = 64 * 2**20  # bytes that wait to be written
OVERHEAD = 512  # bytes that a record counts for beside its body, so that empty ones are bounded too
AT_ONCE = 500  # records in one transaction
BYTES_AT_ONCE = 8 * 2**20  # beyond the first
ROOM = 0.9  # of an owner's share that is left when its oldest have gone

Name: TypeAlias = tuple[str, str, str]  # kind, id, owner

log = structlog.get_logger(__name__)


class DatabaseRecords:
    """``hyperllama.spi.Records``. Enter it before use: leaving it writes what is not written yet."""

    def __init__(self, database: Database, settings: Store, *, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._settings = settings
        self._wall = wall
        self._pending: dict[Name, Record | None] = {}  # to be kept, or to be deleted
        self._waiting: Counter[str] = Counter()  # bytes of them, by owner
        self._writing: dict[Name, Record | None] = {}  # taken from pending, not committed yet
        self._shares: dict[str, tuple[int, int]] = {}  # bytes and records of owners, at most, as of the last sweep
        self._turns = Turns()
        self._swept = time.monotonic()
        self._behind = WriteBehind(
            self._write_behind,
            "records are not written and wait",
            gather=WRITE_EVERY,
            at_least=lambda: SWEEP_EVERY,
        )

    async def __aenter__(self) -> DatabaseRecords:
        await self._behind.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._behind.__aexit__(kind, error, trace)

    def put(self, record: Record) -> None:
        name, size = (record.kind, record.id, record.owner), _size(record)
        before = _size(self._pending.get(name))
        # What is free is what one owner may have waiting: the next owner finds as much.
        if self._waiting[record.owner] + size - before > PENDING - self._waiting.total():
            self._behind.complain("records wait to be written and more are not taken", "full")
            return
        if size > self._settings.max_key_record_bytes:
            self._behind.complain("a record is not taken", "larger than store.max_key_record_bytes")
            return
        self._replace(name, record)

    def delete(self, kind: str, id: str, owner: str) -> None:
        self._replace((kind, id, owner), None)

    async def get(self, kind: str, id: str, owner: str) -> Record | None:
        name = (kind, id, owner)
        if name in self._pending:
            record = self._pending[name]
        elif name in self._writing:
            record = self._writing[name]
        else:
            async with self._reading() as connection:
                record = await sql.records.get(connection, kind, id, owner)
        return record if record is not None and record.expires > self._wall() else None

    async def page(
        self, kind: str, owner: str, *, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> Sequence[Record]:
        await self.settle()
        async with self._reading() as connection:
            return await sql.records.page(
                connection,
                kind,
                owner,
                now=self._wall(),
                after=after,
                limit=limit,
                newest_first=newest_first,
            )

    async def settle(self) -> None:
        """Return once everything put so far is in the database. Raises Unavailable."""
        if self._pending or self._writing:
            try:
                await self.write()
            except Exception as error:
                raise _unavailable() from error

    async def write(self) -> None:
        """Write what waits. Raises what the database raises, or raised to the write before; then it waits on."""
        async with self._turns.take():
            while self._pending:
                self._writing = self._take()
                try:
                    await self._write(list(self._writing))
                finally:
                    for name, change in self._writing.items():  # empty unless it raised
                        if name not in self._pending:
                            self._replace(name, change)
                    self._writing = {}

    async def sweep(self) -> None:
        """Drop what has expired, and the oldest of what is too much. Raises what the database raises."""
        if not self._database.exists:
            return
        settings = self._settings
        async with self._database.begin(within=SWEEP_WITHIN) as connection:
            await sql.records.expire(connection, self._wall())
            dropped = await sql.records.shorten_all(
                connection,
                max_bytes=settings.max_record_bytes,
                max_key_bytes=settings.max_key_record_bytes,
                max_key_count=settings.max_key_records,
            )
        self._shares.clear()
        if dropped:
            log.info("the oldest records were dropped", count=dropped)

    def _replace(self, name: Name, change: Record | None) -> None:
        owner = name[2]
        self._waiting[owner] += _size(change) - _size(self._pending.get(name))
        self._pending[name] = change
        self._behind.wake()

    def _take(self) -> dict[Name, Record | None]:
        """Take some of what waits, the oldest first."""
        taken: dict[Name, Record | None] = {}
        size = 0
        for name, change in self._pending.items():
            taken[name] = change
            size += _size(change)
            if len(taken) == AT_ONCE or size >= BYTES_AT_ONCE:
                break
        for name, change in taken.items():
            del self._pending[name]
            self._waiting[name[2]] -= _size(change)
            if not self._waiting[name[2]]:
                del self._waiting[name[2]]
        return taken

    async def _write(self, names: Sequence[Name]) -> None:
        """Write these and take them out of ``_writing``; where one is refused, by halves, down to that one."""
        changes = {name: self._writing[name] for name in names}
        try:
            async with self._database.begin() as connection:
                await sql.records.apply(connection, changes)
                await self._shorten(connection, changes)
        except Exception as error:
            self._shares.clear()
            if not sql.engine.refused(error):
                raise
            if len(names) > 1:
                middle = len(names) // 2
                await self._write(names[:middle])
                await self._write(names[middle:])
                return
            self._behind.complain("a record that the database does not take is dropped", type(error).__name__)
        for name in names:
            del self._writing[name]

    async def _shorten(self, connection: AsyncConnection, changes: Mapping[Name, Record | None]) -> None:
        """Drop the oldest of owners who keep more than their share; what they keep is summed up once a sweep."""
        most_bytes, most = self._settings.max_key_record_bytes, self._settings.max_key_records
        new: dict[str, tuple[int, int]] = {}
        for (_, _, owner), change in changes.items():
            if change is not None:
                size, count = new.get(owner, (0, 0))
                new[owner] = size + len(change.body), count + 1
        unknown = [owner for owner in new if owner not in self._shares]
        if unknown:
            sums = await sql.records.held(connection, unknown)
            self._shares |= {owner: sums.get(owner, (0, 0)) for owner in unknown}
        for owner, (size, count) in new.items():
            if owner not in unknown:
                before = self._shares[owner]
                self._shares[owner] = before[0] + size, before[1] + count
            if self._shares[owner][0] > most_bytes or self._shares[owner][1] > most:
                bounds = {"max_bytes": int(most_bytes * ROOM), "max_count": max(int(most * ROOM), 1)}
                kept, many = (await sql.records.held(connection, [owner])).get(owner, (0, 0))
                if kept > most_bytes or many > most:
                    await sql.records.shorten(connection, owner, **bounds)
                del self._shares[owner]

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncGenerator[AsyncConnection, None]:
        try:
            async with self._database.read() as connection:
                yield connection
        except NotFound:
            raise
        except Exception as error:
            self._behind.complain("the database does not answer", type(error).__name__)
            raise _unavailable() from error

    async def _write_behind(self) -> None:
        await self.write()
        if time.monotonic() - self._swept >= SWEEP_EVERY:
            self._swept = time.monotonic()
            await self.sweep()


def _size(change: Record | None) -> int:
    return len(change.body) + OVERHEAD if change is not None else 0


def _unavailable() -> Unavailable:
    return Unavailable("Stored records cannot be read at the moment.", retry_after=5)


__all__ = ("DatabaseRecords",)
