"""Run the batches of one folder of files: one gateway of those that share it does, and another when that one dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import structlog

from hyperllama.batches.job import Ask, Job
from hyperllama.config import Batches as Settings
from hyperllama.database.batches import BatchStore
from hyperllama.database.files import FileStore
from hyperllama.database.usage import Ledger
from hyperllama.errors import StorageFull, Unavailable
from hyperllama.identity import Principal
from hyperllama.spi import Batch, BatchDialect, BatchError, BatchFault
from hyperllama.system.files import open_locked

LOOK = 1.0  # seconds between looks at what others asked for, or cancelled
SWEEP = 60.0
AGAIN = 5.0  # seconds after which a batch that broke is continued; twice as long each time
AGAIN_AT_MOST = 300.0
BREAKS = 5  # of a batch in a row, for reasons of its own, until it has failed
OPEN = 1000  # batches looked at
LOCK = "runner.lock"

#: Return the principal as it is now; None when its key is no longer valid.
Renew: TypeAlias = Callable[[Principal], Awaitable[Principal | None]]

log = structlog.get_logger(__name__)


class Runner:
    """A runner of batches while it is entered; leaving it interrupts them, for another runner to continue."""

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        *,
        store: BatchStore,
        files: FileStore,
        dialects: Mapping[str, BatchDialect],
        ask: Ask,
        places: Callable[[str, Principal], int],
        renew: Renew,
        ledger: Ledger,
        wake: asyncio.Event,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``places``: how many lines of a model may be under way; ``wake`` is set when there is something new."""
        self._directory = directory
        self._settings = settings
        self._store = store
        self._files = files
        self._dialects = dialects
        self._ask = ask
        self._places = places
        self._renew = renew
        self._ledger = ledger
        self._wall = wall
        self._wake = wake
        self._stopped = False
        self._jobs: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._broken: dict[str, tuple[int, float]] = {}  # how often a batch broke; when it may run, on the loop's clock
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Runner:
        if self._settings.enabled:
            self._task = asyncio.create_task(self._run(), name="batches")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def stop(self) -> None:
        """Start no other batch; the gateway is stopping."""
        self._stopped = True
        self._wake.set()

    async def _run(self) -> None:
        lock: int | None = None
        swept = float("-inf")
        try:
            while not self._stopped:
                if self._files.exists:
                    if lock is None:
                        lock = await asyncio.to_thread(open_locked, self._directory / LOCK, wait=False)
                    if lock is not None and await self._tried(self._look()) and time.monotonic() - swept >= SWEEP:
                        swept = time.monotonic()
                        await self._tried(self._sweep())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._wake.wait()
                self._wake.clear()
            await asyncio.gather(*(task for _, task in self._jobs.values()), return_exceptions=True)
        finally:
            tasks = [task for _, task in self._jobs.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if lock is not None:
                os.close(lock)

    async def _look(self) -> None:
        """Start what may start, and pass changes on to what runs."""
        now = asyncio.get_running_loop().time()
        waiting: list[tuple[Batch, Principal]] = []
        for batch, principal in await self._store.due(2 * self._settings.running, OPEN):
            if batch.id in self._jobs:
                await self._update(batch, principal)
            elif self._broken.get(batch.id, (0, 0.0))[1] > now:
                continue
            elif batch.status == "cancelling":
                await self._begin(batch, principal)
            else:
                waiting.append((batch, principal))
        while (chosen := self._next(waiting)) is not None:
            waiting.remove(chosen)
            await self._begin(*chosen)

    def _next(self, waiting: Sequence[tuple[Batch, Principal]]) -> tuple[Batch, Principal] | None:
        """Return the oldest batch of the owner with the fewest under way; one owner never takes every place."""
        places = self._settings.running
        if len(self._jobs) >= places:
            return None
        under_way = Counter(job.owner for job, _ in self._jobs.values())
        allowed = [each for each in waiting if under_way[each[0].owner] < max(1, places - 1)]
        return min(allowed, key=lambda each: under_way[each[0].owner], default=None)

    async def _begin(self, batch: Batch, principal: Principal) -> None:
        dialect = self._dialects.get(batch.protocol)
        if dialect is None:
            text = f"This gateway does not speak {batch.protocol!r} any more."
            await self._store.fail(batch, BatchError(code="protocol_not_found", message=text))
            return
        if self._broken.get(batch.id, (0, 0.0))[0] >= BREAKS:
            del self._broken[batch.id]
            await self._store.fail(batch, dialect.batch_fault(BatchFault(kind="broken")))
            return
        owner = await self._renew(principal)
        if owner is None:
            await self._store.fail(batch, dialect.batch_fault(BatchFault(kind="key_gone")))
            return
        job = Job(
            batch,
            owner,
            dialect=dialect,
            store=self._store,
            files=self._files,
            ask=self._ask,
            places=self._places,
            ledger=self._ledger,
            max_lines=self._settings.max_lines,
            max_line_bytes=self._settings.max_line_bytes,
        )
        if batch.expires <= self._wall():
            job.update("expired", owner)
        task = asyncio.create_task(job.run(), name=batch.id)
        self._jobs[batch.id] = job, task
        task.add_done_callback(lambda task: self._ended(batch, task))

    async def _update(self, batch: Batch, principal: Principal) -> None:
        job, task = self._jobs[batch.id]
        owner = await self._renew(principal)
        if owner is None:
            task.cancel()
            return
        job.update("expired" if batch.expires <= self._wall() else batch.status, owner)

    def _ended(self, batch: Batch, task: asyncio.Task[None]) -> None:
        self._jobs.pop(batch.id, None)
        breaks, _ = self._broken.pop(batch.id, (0, 0.0))
        if not task.cancelled() and (error := task.exception()) is not None:
            away = isinstance(error, Unavailable | StorageFull)  # none of the batch's own doing
            breaks += not away
            pause = min(AGAIN * 2 ** max(breaks - 1, 0), AGAIN_AT_MOST)
            self._broken[batch.id] = breaks, asyncio.get_running_loop().time() + pause
            log.error("batch broke off and is tried again", batch=batch.id, reason=type(error).__name__, breaks=breaks)
        self._wake.set()

    async def _sweep(self) -> None:
        await self._files.sweep()
        await self._store.sweep()

    async def _tried(self, work: Awaitable[None]) -> bool:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - a database that is away comes back
            log.warning("batches wait", reason=type(error).__name__)
            return False
        return True


__all__ = ("Renew", "Runner")
