"""Batches in the database. A line's result is there once or not at all, whatever dies meanwhile."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, get_args

import msgspec

from hyperllama.config import Batches as Settings
from hyperllama.database import sql
from hyperllama.database.database import Database
from hyperllama.database.files import FileStore
from hyperllama.database.usage import UsageRow
from hyperllama.errors import Overloaded, RateLimited
from hyperllama.identity import Caller, Principal
from hyperllama.spi import (
    ENDED,
    Batch,
    BatchEnded,
    BatchError,
    BatchOpen,
    BatchResult,
    KeptFile,
    NewBatch,
    Status,
    UnknownBatch,
    UnknownFile,
    UnusableInput,
)

PURPOSE = "batch"
PIECE = 64  # results read at a time
SWEEP_WITHIN = 60.0  # seconds
_UNDER_WAY: tuple[Status, ...] = tuple(status for status in get_args(Status) if status not in ENDED)


class Tally:
    """The outcomes of one gateway's batches since it started, and the states of those that it runs."""

    def __init__(self) -> None:
        self.open: dict[Status, int] = dict.fromkeys(_UNDER_WAY, 0)
        self.ended: dict[Status, int] = dict.fromkeys(ENDED, 0)
        self.completed = 0  # lines
        self.failed = 0


class BatchStore:
    """``hyperllama.spi.storage.Batches``, and the further methods of a runner."""

    def __init__(
        self,
        database: Database,
        files: FileStore,
        settings: Settings,
        *,
        changed: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Make a store; ``changed`` is called when a batch was made or cancelled through it."""
        self._database = database
        self._files = files
        self._settings = settings
        self._changed = changed
        self._wall = wall
        self.tally = Tally()

    async def create(self, wanted: NewBatch, caller: Caller) -> Batch:
        principal = caller.principal
        try:
            file = await self._files.get(wanted.input_file, principal)
        except UnknownFile as error:
            raise UnusableInput(wanted.input_file, missing=True) from error
        if file.purpose != PURPOSE:
            raise UnusableInput(wanted.input_file, missing=False)
        now = self._wall()
        batch = Batch(
            id=f"{wanted.id_prefix}{secrets.token_hex(16)}",
            owner=principal.id,
            protocol=wanted.protocol,
            endpoint=wanted.endpoint,
            input_file=file.id,
            status="validating",
            created=now,
            expires=now + wanted.seconds,
            notes=wanted.notes,
            total=wanted.total,
        )
        place = await self._files.place()
        async with self._database.begin() as connection:
            await sql.batches.lock(connection)
            await sql.batches.add(connection, batch, principal, place=place, output_life=wanted.output_seconds)
            if await sql.batches.count_open(connection, principal.id) > self._settings.max_open:
                raise RateLimited(f"This key has {self._settings.max_open} batches open; wait for one to end.")
            if await sql.batches.count_open(connection) > self._settings.max_all_open:
                raise Overloaded("The gateway has as many batches open as it may; try again later.", retry_after=60)
        self._changed()
        return batch

    async def get(self, id: str, principal: Principal, *, protocol: str | None = None) -> Batch:
        async with self._database.read() as connection:
            return _found(await sql.batches.get(connection, id, principal.id, protocol=protocol), id)

    async def page(
        self,
        principal: Principal,
        *,
        after: str | None,
        limit: int,
        before: str | None = None,
        protocol: str | None = None,
    ) -> Sequence[Batch]:
        async with self._database.read() as connection:
            return await sql.batches.page(
                connection, principal.id, protocol=protocol, after=after, before=before, limit=limit
            )

    async def delete(self, id: str, principal: Principal, *, protocol: str | None = None) -> Batch:
        async with self._database.begin() as connection:
            found = await sql.batches.get(connection, id, principal.id, protocol=protocol, change=True)
            batch = _found(found, id)
            if batch.status not in ENDED:
                raise BatchOpen(batch.status)
            await sql.batches.remove(connection, batch.id)
        return batch

    async def cancel(self, id: str, principal: Principal, *, protocol: str | None = None) -> Batch:
        def cancelling(batch: Batch) -> Batch | None:
            if batch.status in ENDED or batch.status == "finalizing":
                raise BatchEnded(batch.status)
            return None if batch.status == "cancelling" else self._in(batch, "cancelling")

        batch = await self._change(id, cancelling, owner=principal.id, protocol=protocol)
        self._changed()
        return batch

    # --- for the runner ---

    async def due(self, each: int, limit: int) -> Sequence[tuple[Batch, Principal]]:
        """Return batches to work on, and who made them: the oldest ``each`` of every owner, and all that must end."""
        place = await self._files.place()
        async with self._database.read() as connection:
            states = await sql.batches.states(connection, place)
            found = await sql.batches.due(connection, place, each=each, limit=limit, now=self._wall())
        self.tally.open = {status: states[status] for status in _UNDER_WAY}
        return found

    async def enter(self, batch: Batch, status: Status, **fields: Any) -> Batch:
        """Bring a batch into another state, with ``fields`` changed; a cancelled one stays as it is."""

        def entered(now: Batch) -> Batch | None:
            return None if now.status == "cancelling" else self._in(now, status, **fields)

        return await self._change(batch.id, entered)

    async def fail(self, batch: Batch, error: BatchError) -> None:
        """End a batch that can never be completed."""
        await self._change(
            batch.id, lambda now: None if now.status in ENDED else self._in(now, "failed", errors=(error,))
        )

    async def done(self, id: str) -> set[int]:
        """Return the numbers of the lines that have a result."""
        async with self._database.read() as connection:
            return await sql.batches.lines_done(connection, id)

    async def commit(self, id: str, results: Sequence[tuple[int, BatchResult]], usage: Sequence[UsageRow] = ()) -> None:
        """Write results of lines, and what they used, in one transaction. A line that has a result keeps it."""
        async with self._database.begin() as connection:
            new = await sql.batches.add_results(connection, id, dict(reversed(results)))
            if usage:
                await sql.usage.add(connection, usage)
        failed = sum(result.failed for result in new.values())
        self.tally.completed += len(new) - failed
        self.tally.failed += failed

    async def results(self, id: str, *, failed: bool) -> AsyncGenerator[bytes, None]:
        """Yield the lines of one of its files, in order, some at a time."""
        last = -1
        while True:
            async with self._database.read() as connection:
                rows = await sql.batches.result_lines(connection, id, failed=failed, behind=last, limit=PIECE)
            if rows:
                last = rows[-1][0]
                yield b"".join(body + b"\n" for _, body in rows)
            if len(rows) < PIECE:
                return

    async def end(self, batch: Batch, status: Status, output: KeptFile | None, errors: KeptFile | None) -> None:
        """End a batch whose files are in place, and drop the rows of its results, in one transaction."""
        async with self._database.begin() as connection:
            now = _found(await sql.batches.get(connection, batch.id, change=True), batch.id)
            for file in (output, errors):
                if file is not None:
                    await self._files.insert(connection, file)
            fields = {"output_file": output.id if output else None, "error_file": errors.id if errors else None}
            await sql.batches.change(connection, now, self._in(now, status, **fields))
            await sql.batches.remove_results(connection, batch.id)
        self.tally.ended[status] += 1

    async def output_life(self, id: str) -> float | None:
        """Return how many seconds its results are to be kept; None when the client did not say."""
        async with self._database.read() as connection:
            return await sql.batches.output_life(connection, id)

    async def sweep(self) -> None:
        """Forget batches that ended long ago, and the oldest of owners who have too many."""
        life = self._settings.keep
        before = None if life == float("inf") else self._wall() - life
        async with self._database.begin(within=SWEEP_WITHIN) as connection:
            await sql.batches.forget(connection, before=before, each=self._settings.max_key_ended)

    def _in(self, batch: Batch, status: Status, **fields: Any) -> Batch:
        moments = {**batch.moments, status: self._wall()}
        return msgspec.structs.replace(batch, status=status, moments=moments, **fields)

    async def _change(
        self,
        id: str,
        change: Callable[[Batch], Batch | None],
        *,
        owner: str | None = None,
        protocol: str | None = None,
    ) -> Batch:
        """Write what ``change`` makes of a batch; None: it stays. Done again when another gateway was faster."""
        while True:
            async with self._database.begin() as connection:
                now = _found(await sql.batches.get(connection, id, owner, protocol=protocol, change=True), id)
                new = change(now)
                if new is None:
                    return now
                done = await sql.batches.change(connection, now, new)
            if done:
                if new.status in ENDED:
                    self.tally.ended[new.status] += 1
                return new


def _found(batch: Batch | None, id: str) -> Batch:
    if batch is None:
        raise UnknownBatch(id)
    return batch


__all__ = ("PURPOSE", "BatchStore", "Tally")
