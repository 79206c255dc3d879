"""One batch: its file is read and checked, its lines are sent, their results committed, its output files written.

Every step is in the database before the next one begins, so that any gateway can continue where this one stops.
A line is sent again only when its result was not committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import aclosing
from typing import Any, BinaryIO, TypeAlias

import msgspec
import structlog

from hyperllama.database.batches import BatchStore
from hyperllama.database.files import FileStore
from hyperllama.database.usage import Ledger
from hyperllama.errors import InvalidRequest, NotFound
from hyperllama.identity import IDLE_PRIORITY, Principal
from hyperllama.spi import (
    Batch,
    BatchAnswer,
    BatchDialect,
    BatchError,
    BatchFault,
    BatchLine,
    BatchResult,
    FaultKind,
    KeptFile,
    ReportsCancelled,
    Status,
)

AT_ONCE = 64  # lines read, and unrun lines committed, at a time
BYTES_AT_ONCE = 8 * 2**20  # of lines that are read at a time, beyond the first
UNCOMMITTED = 256  # results that may wait for the database while others are made
SHOWN = 50  # errors of an input file that are listed
TRIES = 3  # of a line that the engine broke on
LONGEST = 60.0  # seconds between two tries

log = structlog.get_logger(__name__)


class Reply(msgspec.Struct, frozen=True):
    """The answer of a route; ``retry_after``: seconds, None when it did not ask to be called again."""

    answer: BatchAnswer
    retry_after: float | None


#: Call a route from inside: its path, a body, the principal who calls.
Ask: TypeAlias = Callable[[str, bytes, Principal], Awaitable[Reply]]
#: A numbered line of the input file; blank ones are not counted as lines, but numbers are those of the file.
Numbered: TypeAlias = tuple[int, BatchLine]


class Job:
    """The work on one batch, to be run once. Cancelling it leaves the batch as it is, for another job to continue."""

    def __init__(
        self,
        batch: Batch,
        principal: Principal,
        *,
        dialect: BatchDialect,
        store: BatchStore,
        files: FileStore,
        ask: Ask,
        places: Callable[[str, Principal], int],
        ledger: Ledger,
        max_lines: int,
        max_line_bytes: int,
    ) -> None:
        """``places``: how many lines of a model may run at once; ``ledger`` holds their usage until it is committed."""
        self.owner = batch.owner
        self._batch = batch
        self._principal = principal
        self._dialect = dialect
        self._store = store
        self._files = files
        self._ask = ask
        self._places = places
        self._ledger = ledger
        self._max_lines = max_lines
        self._max_line_bytes = max_line_bytes
        self._stop = asyncio.Event()
        self._status: Status = batch.status
        self._results: list[tuple[int, BatchResult, str]] = []  # number, result, request; not committed yet
        self._committing: asyncio.Task[None] | None = None

    def update(self, status: Status, principal: Principal) -> None:
        """Take the state it has now, and who its owner is now; ``cancelling`` and ``expired`` stop it."""
        self._principal = principal
        if status in ("cancelling", "expired") and self._status != status:
            self._status = status
            self._stop.set()

    async def run(self) -> None:
        batch = self._batch
        if batch.status == "validating":
            batch = await self._judge()
        if batch.status == "failed":
            return
        self.update(batch.status, self._principal)
        if batch.status == "in_progress":
            await self._until_stopped(self._all_lines())
        if self._status == "expired":
            await self._give_up_rest(self._dialect.batch_unrun)
            await self._end("expired")
        elif self._status == "cancelling":
            if isinstance(self._dialect, ReportsCancelled):
                await self._give_up_rest(self._dialect.batch_cancelled)
            await self._end("cancelled")
        else:
            batch = await self._store.enter(batch, "finalizing")
            await self._end("cancelled" if batch.status == "cancelling" else "completed")

    async def _judge(self) -> Batch:
        """Check the whole input file once, count its lines, and find the model."""
        try:
            total, model, errors = await asyncio.to_thread(self._judged)
        except NotFound:
            total, model, errors = 0, "", [self._fault("file_gone")]
        if errors:
            return await self._store.enter(self._batch, "failed", errors=tuple(errors[:SHOWN]))
        return await self._store.enter(self._batch, "in_progress", total=total, model=model)

    def _judged(self) -> tuple[int, str, list[BatchError]]:
        errors: list[BatchError] = []
        seen: set[str] = set()
        total, model = 0, ""
        with self._files.open(self._batch.input_file) as file:
            for number, raw in _lines(file, self._max_line_bytes):
                total += 1
                if total > self._max_lines or len(errors) >= SHOWN:
                    break
                if len(raw) > self._max_line_bytes:
                    errors.append(self._fault("line_too_long", line=number, limit=self._max_line_bytes))
                    continue
                try:
                    line = self._dialect.batch_line(raw, self._batch.endpoint)
                except InvalidRequest as error:
                    wrong = BatchError(code=error.code, message=error.message, line=number, param=error.param)
                    errors.append(wrong)
                    continue
                if line.id in seen:
                    errors.append(self._fault("duplicate_id", line=number, id=line.id))
                seen.add(line.id)
                model = model or line.model
        if total > self._max_lines:
            errors.append(self._fault("too_many_lines", limit=self._max_lines))
        if not total:
            errors.append(self._fault("no_lines"))
        return total, model, errors

    def _fault(self, kind: FaultKind, **fields: Any) -> BatchError:
        return self._dialect.batch_fault(BatchFault(kind=kind, **fields))

    async def _until_stopped(self, work: Coroutine[None, None, None]) -> None:
        task, stop = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished = task.done()
            stop.cancel()
            task.cancel()
            await asyncio.wait((task,))
        if finished:
            task.result()

    async def _all_lines(self) -> None:
        running: set[asyncio.Task[None]] = set()
        most = self._places(self._batch.model, self._principal)
        try:
            async with aclosing(self._left()) as left:
                async for number, line in left:
                    running.add(asyncio.create_task(self._line(number, line)))
                    if len(running) >= most:
                        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                        _raise_of(done)
                    if len(self._results) >= UNCOMMITTED and self._committing is not None:
                        await asyncio.shield(self._committing)
            if running:
                done, running = await asyncio.wait(running)
                _raise_of(done)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            try:
                if self._committing is not None:
                    await asyncio.shield(self._committing)
            finally:
                for _, _, request in self._results:
                    self._ledger.release(request)  # it was used, whether or not its line is sent again

    async def _left(self) -> AsyncGenerator[Numbered, None]:
        """Yield the lines that have no result yet."""
        done = await self._store.done(self._batch.id)
        with await asyncio.to_thread(self._files.open, self._batch.input_file) as file:
            source = _lines(file, self._max_line_bytes)
            while some := await asyncio.to_thread(self._some, source, done):
                for numbered in some:
                    yield numbered

    def _some(self, source: Iterator[tuple[int, bytes]], done: set[int]) -> list[Numbered]:
        found: list[Numbered] = []
        size = 0
        for number, raw in source:
            if number not in done:
                found.append((number, self._dialect.batch_line(raw, self._batch.endpoint)))
                size += len(raw)
                if len(found) == AT_ONCE or size >= BYTES_AT_ONCE:
                    break
        return found

    async def _line(self, number: int, line: BatchLine) -> None:
        """Send a line until its answer is final, and have that committed."""
        broken = 0
        while True:
            who = msgspec.structs.replace(self._principal, priority=IDLE_PRIORITY)
            reply = (
                await self._ask(self._batch.endpoint, line.body, who)
                if line.answer is None
                else Reply(line.answer, None)
            )
            status = reply.answer.status
            if status in (502, 504):
                broken += 1
            if reply.retry_after is not None and status in (429, 503, 529):  # 529: Anthropic's overloaded
                wait = reply.retry_after  # the owner's limits, or a busy machine: there is time
            elif 0 < broken < TRIES and status in (502, 504):
                wait = 2.0**broken
            else:
                break
            self._ledger.release(reply.answer.request_id)
            await asyncio.sleep(min(max(wait, 0.05), LONGEST))
        self._results.append((number, self._dialect.batch_result(line, reply.answer), reply.answer.request_id))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        elif self._committing.done():
            self._committing.result()  # what it failed with is this line's error
            self._committing = asyncio.create_task(self._commit())

    async def _commit(self) -> None:
        """Write the results that have gathered, and their usage, in one transaction after the other."""
        while self._results:
            taken = self._results[:AT_ONCE]
            requests = [request for _, _, request in taken]
            results = [(number, result) for number, result, _ in taken]
            await self._store.commit(self._batch.id, results, self._ledger.held(requests))
            self._ledger.booked(requests)
            del self._results[: len(taken)]

    async def _give_up_rest(self, result: Callable[[BatchLine], BatchResult]) -> None:
        waiting: list[tuple[int, BatchResult]] = []
        async with aclosing(self._left()) as left:
            async for number, line in left:
                waiting.append((number, result(line)))
                if len(waiting) == AT_ONCE:
                    await self._store.commit(self._batch.id, waiting)
                    waiting = []
        if waiting:
            await self._store.commit(self._batch.id, waiting)

    async def _end(self, status: Status) -> None:
        life = await self._store.output_life(self._batch.id)
        written: list[KeptFile] = []
        try:
            output = await self._write_file("output", written, failed=False, life=life)
            errors = await self._write_file("error", written, failed=True, life=life)
            await self._store.end(self._batch, status, output, errors)
        except BaseException:
            for file in written:  # they are written anew when the batch is continued
                await asyncio.shield(asyncio.to_thread(self._files.drop, file.id))
            raise
        log.info("batch ended", batch=self._batch.id, owner=self._batch.owner, status=status)

    async def _write_file(
        self, what: str, written: list[KeptFile], *, failed: bool, life: float | None
    ) -> KeptFile | None:
        """Write one of its files and add it to ``written``; None when it would be empty."""
        size = 0
        async with aclosing(self._store.results(self._batch.id, failed=failed)) as pieces:
            piece = await anext(pieces, b"")
            if not piece:
                return None
            draft = await self._files.draft()
            try:
                while piece:
                    size += len(piece)
                    await self._files.write(draft, piece)
                    piece = await anext(pieces, b"")
                name = await self._files.settle(draft)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(draft.discard))
                raise
        filename = f"{self._batch.id}_{what}.jsonl"
        file = self._files.describe(
            name, self._batch.owner, filename=filename, purpose="batch_output", size=size, seconds=life
        )
        written.append(file)
        return file


def _lines(file: BinaryIO, most: int) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers, from 1, without blank ones; of one over ``most`` bytes its beginning. Blocks."""
    number = 0
    while raw := file.readline(most + 1):
        number += 1
        rest = raw
        while len(rest) > most and not rest.endswith(b"\n"):
            rest = file.readline(most + 1)
        if raw.strip():
            yield number, raw


def _raise_of(done: Iterable[asyncio.Task[None]]) -> None:
    for task in done:
        task.result()


__all__ = ("Ask", "Job", "Reply")
