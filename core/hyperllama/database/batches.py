"""Batches as the database holds them. A line's result is there once or not at all, whoever dies meanwhile."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from hyperllama.config import Batches as Settings
from hyperllama.config import parse_duration
from hyperllama.database.database import Database
from hyperllama.database.files import FileStore, one_at_a_time
from hyperllama.errors import InvalidRequest, NotFound, RateLimited
from hyperllama.generation import Usage
from hyperllama.identity import Caller, Principal
from hyperllama.spi import ENDED, Batch, BatchError, BatchResult, KeptFile, NewBatch, Status

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

PURPOSE = "batch"
PIECE = 64  # results read at a time
_JSON = ("errors", "notes", "moments", "usage")
_UNDER_WAY: tuple[Status, ...] = tuple(status for status in get_args(Status) if status not in ENDED)


class Tally:
    """What the batches of one gateway came to since it started, and how those stand that it runs."""

    def __init__(self) -> None:
        self.open: dict[Status, int] = dict.fromkeys(_UNDER_WAY, 0)
        self.ended: dict[Status, int] = dict.fromkeys(ENDED, 0)
        self.completed = 0  # lines
        self.failed = 0


class BatchStore:
    """``hyperllama.spi.storage.Batches``, and what a runner needs beyond it."""

    def __init__(
        self,
        database: Database,
        files: FileStore,
        settings: Settings,
        *,
        changed: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``changed`` is called when a batch was made or cancelled here."""
        self._database = database
        self._files = files
        self._settings = settings
        self._changed = changed
        self._wall = wall
        self.tally = Tally()

    async def create(self, wanted: NewBatch, caller: Caller) -> Batch:
        from sqlalchemy import func, insert, select

        from hyperllama.database.tables import batches

        principal = caller.principal
        try:
            file = await self._files.get(wanted.input_file, principal)
        except NotFound as error:
            raise InvalidRequest(f"There is no file '{wanted.input_file[:80]}'.", param="input_file_id") from error
        if file.purpose != PURPOSE:
            raise InvalidRequest("The file was not uploaded with purpose 'batch'.", param="input_file_id")
        now = self._wall()
        batch = Batch(
            id=f"batch_{secrets.token_hex(16)}",
            owner=principal.id,
            protocol=wanted.protocol,
            endpoint=wanted.endpoint,
            input_file=file.id,
            status="validating",
            created=now,
            expires=now + wanted.seconds,
            notes=wanted.notes,
        )
        place = await self._files.place()
        async with self._database.begin() as connection:
            await one_at_a_time(connection, f"batches of {principal.id}")
            row = {field: getattr(batch, field) for field in Batch.__struct_fields__}
            row |= {field: _text(row[field]) for field in _JSON}
            more = {"principal": _text(principal), "place": place, "output_life": wanted.output_seconds}
            await connection.execute(insert(batches).values(**row, **more))  # first: from here on SQLite has one writer
            open_ = (batches.c.owner == principal.id) & batches.c.status.not_in(ENDED)
            if (await connection.scalar(select(func.count()).where(open_)) or 0) > self._settings.max_open:
                raise RateLimited(f"This key has {self._settings.max_open} batches open; wait for one to end.")
        self._changed()
        return batch

    async def get(self, id: str, principal: Principal) -> Batch:
        from hyperllama.database.tables import batches

        async with self._database.begin() as connection:
            return _batch(await _row(connection, (batches.c.id == id) & (batches.c.owner == principal.id), id))

    async def page(self, principal: Principal, *, after: str | None, limit: int) -> Sequence[Batch]:
        from hyperllama.database.pages import page
        from hyperllama.database.tables import batches

        async with self._database.begin() as connection:
            own = batches.c.owner == principal.id
            rows = await page(connection, batches, own, after=after, limit=limit, newest_first=True)
        return [_batch(row) for row in rows]

    async def cancel(self, id: str, principal: Principal) -> Batch:
        from hyperllama.database.tables import batches

        def cancelling(batch: Batch) -> Batch | None:
            if batch.status in ENDED or batch.status == "finalizing":
                raise InvalidRequest(f"Cannot cancel a batch with status '{batch.status}'.")
            return None if batch.status == "cancelling" else self._in(batch, "cancelling")

        batch = await self._change((batches.c.id == id) & (batches.c.owner == principal.id), id, cancelling)
        self._changed()
        return batch

    # --- for the runner ---

    async def open(self, limit: int) -> Sequence[tuple[Batch, Principal]]:
        """The oldest that have not ended, of this place, and who asked for them."""
        from sqlalchemy import select

        from hyperllama.database.tables import batches

        place = await self._files.place()
        mine = (batches.c.place == place) & batches.c.status.not_in(ENDED)
        asked = select(batches).where(mine).order_by(batches.c.created, batches.c.id).limit(limit)
        async with self._database.begin() as connection:
            rows = (await connection.execute(asked)).all()
        states = Counter(row.status for row in rows)
        self.tally.open = {status: states[status] for status in _UNDER_WAY}
        return [(_batch(row), msgspec.json.decode(row.principal, type=Principal)) for row in rows]

    async def enter(self, batch: Batch, status: Status, **fields: Any) -> Batch:
        """``batch`` in another state, with ``fields`` changed; one that was cancelled meanwhile stays as it is."""
        from hyperllama.database.tables import batches

        def entered(now: Batch) -> Batch | None:
            return None if now.status == "cancelling" else self._in(now, status, **fields)

        return await self._change(batches.c.id == batch.id, batch.id, entered)

    async def fail(self, batch: Batch, error: BatchError) -> None:
        """It can never be gone on with."""
        from hyperllama.database.tables import batches

        await self._change(batches.c.id == batch.id, batch.id, lambda now: self._in(now, "failed", errors=(error,)))

    async def done(self, id: str) -> set[int]:
        """Numbers of the lines that have a result."""
        from sqlalchemy import select

        from hyperllama.database.tables import batch_results

        wanted = select(batch_results.c.line).where(batch_results.c.batch == id)
        async with self._database.begin() as connection:
            return set(await connection.scalars(wanted))

    async def commit(self, id: str, results: Sequence[tuple[int, BatchResult]]) -> None:
        """Results of lines, in one transaction. One that a line has already stays."""
        from sqlalchemy import insert, select, update

        from hyperllama.database.tables import batch_results, batches

        mine = batches.c.id == id
        new = dict(reversed(results))
        async with self._database.begin() as connection:
            before = await connection.scalar(select(batches.c.usage).where(mine).with_for_update())
            lines = batch_results.c.line
            there = select(lines).where((batch_results.c.batch == id) & lines.in_(list(new)))
            for number in await connection.scalars(there):
                del new[number]
            if not new:
                return
            rows = [{"batch": id, "line": n, "failed": int(r.failed), "body": r.line} for n, r in sorted(new.items())]
            await connection.execute(insert(batch_results), rows)
            used = [msgspec.structs.astuple(result.usage) for result in new.values()]
            total = msgspec.structs.astuple(msgspec.json.decode(before or "[]", type=Usage))
            failed = sum(result.failed for result in new.values())
            values = {
                "completed": batches.c.completed + len(new) - failed,
                "failed": batches.c.failed + failed,
                "usage": _text([sum(counts) for counts in zip(total, *used, strict=True)]),
            }
            await connection.execute(update(batches).where(mine).values(**values))
        self.tally.completed += len(new) - failed
        self.tally.failed += failed

    async def results(self, id: str, *, failed: bool) -> AsyncGenerator[bytes, None]:
        """The lines of one of its files, in order, some at a time."""
        from sqlalchemy import select

        from hyperllama.database.tables import batch_results as results

        last = -1
        while True:
            wanted = (results.c.batch == id) & (results.c.failed == int(failed)) & (results.c.line > last)
            asked = select(results.c.line, results.c.body).where(wanted).order_by(results.c.line).limit(PIECE)
            async with self._database.begin() as connection:
                rows = (await connection.execute(asked)).all()
            if rows:
                last = rows[-1].line
                yield b"".join(bytes(row.body) + b"\n" for row in rows)
            if len(rows) < PIECE:
                return

    async def end(self, batch: Batch, status: Status, output: KeptFile | None, errors: KeptFile | None) -> None:
        """It has ended, its files are in place: said in one transaction, with the results' rows dropped."""
        from sqlalchemy import delete, update

        from hyperllama.database.tables import batch_results, batches

        async with self._database.begin() as connection:
            now = _batch(await _row(connection, batches.c.id == batch.id, batch.id))
            for file in (output, errors):
                if file is not None:
                    await self._files.insert(connection, file)
            fields = {"output_file": output.id if output else None, "error_file": errors.id if errors else None}
            ended = self._in(now, status, **fields)
            await connection.execute(update(batches).where(batches.c.id == batch.id).values(**_values(ended)))
            await connection.execute(delete(batch_results).where(batch_results.c.batch == batch.id))
        self.tally.ended[status] += 1

    async def output_life(self, id: str) -> float | None:
        """Seconds that its results are to be kept; None: nobody said."""
        from hyperllama.database.tables import batches

        async with self._database.begin() as connection:
            life = (await _row(connection, batches.c.id == id, id)).output_life
        return float(life) if life is not None else None

    async def sweep(self) -> None:
        """Forget batches that ended long ago."""
        from sqlalchemy import delete

        from hyperllama.database.tables import batches

        life = parse_duration(self._settings.keep)
        if life == float("inf"):
            return
        old = batches.c.status.in_(ENDED) & (batches.c.created < self._wall() - life)
        async with self._database.begin() as connection:
            await connection.execute(delete(batches).where(old))

    def _in(self, batch: Batch, status: Status, **fields: Any) -> Batch:
        moments = {**batch.moments, status: self._wall()}
        return msgspec.structs.replace(batch, status=status, moments=moments, **fields)

    async def _change(self, which: ColumnElement[bool], id: str, change: Callable[[Batch], Batch | None]) -> Batch:
        """As ``change`` makes it of what is there; None: it stays. Done again when another was faster."""
        from sqlalchemy import update

        from hyperllama.database.tables import batches

        while True:
            async with self._database.begin() as connection:
                now = _batch(await _row(connection, which, id))
                new = change(now)
                if new is None:
                    return now
                same = (batches.c.id == now.id) & (batches.c.status == now.status)
                done = await connection.execute(update(batches).where(same).values(**_values(new)))
            if done.rowcount == 1:
                if new.status in ENDED:
                    self.tally.ended[new.status] += 1
                return new


async def _row(connection: AsyncConnection, which: ColumnElement[bool], id: str) -> Row[Any]:
    from sqlalchemy import select

    from hyperllama.database.tables import batches

    row = (await connection.execute(select(batches).where(which).with_for_update())).one_or_none()
    if row is None:
        raise NotFound(f"No batch found with id '{id[:80]}'.", param="batch_id")
    return row


def _values(batch: Batch) -> dict[str, Any]:
    """What a change of state may touch; counts are the committing of results' own."""
    fields = ("status", "model", "output_file", "error_file", "total")
    return {field: getattr(batch, field) for field in fields} | {
        field: _text(getattr(batch, field)) for field in ("errors", "moments")
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _batch(row: Row[Any]) -> Batch:
    fields = {field: getattr(row, field) for field in Batch.__struct_fields__}
    return msgspec.convert(fields | {field: msgspec.json.decode(fields[field]) for field in _JSON}, Batch)


__all__ = ("PURPOSE", "BatchStore", "Tally")
