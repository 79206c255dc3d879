"""Runs the batches of one folder of files: one gateway of those that share it does, and another when that one dies."""

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
from hyperllama.identity import Principal
from hyperllama.spi import Batch, BatchDialect, BatchError
from hyperllama.system.files import open_locked

LOOK = 1.0  # seconds between looks at what others asked for, or cancelled
SWEEP = 60.0
AGAIN = 5.0  # seconds after which a batch that broke is gone on with
OPEN = 1000  # batches looked at
LOCK = "runner.lock"

#: Who a principal is now; None: nobody any more.
Renew: TypeAlias = Callable[[Principal], Awaitable[Principal | None]]

log = structlog.get_logger(__name__)


class Runner:
    """Enter it, and batches run; leaving it breaks them off, to be gone on with."""

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
        self._wall = wall
        self._wake = wake
        self._stopped = False
        self._jobs: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._broken: dict[str, float] = {}  # when a batch that broke may run again, on the loop's clock
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
        """Begin no other batch; the gateway is stopping."""
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
        """Begin what is to begin, and tell what runs what has changed."""
        now = asyncio.get_running_loop().time()
        waiting: list[tuple[Batch, Principal]] = []
        for batch, principal in await self._store.open(OPEN):
            if batch.id in self._jobs:
                await self._update(batch, principal)
            elif self._broken.get(batch.id, 0.0) > now:
                continue
            elif batch.status == "cancelling":
                await self._begin(batch, principal)
            else:
                waiting.append((batch, principal))
        while (chosen := self._next(waiting)) is not None:
            waiting.remove(chosen)
            await self._begin(*chosen)

    def _next(self, waiting: Sequence[tuple[Batch, Principal]]) -> tuple[Batch, Principal] | None:
        """Whoever has the fewest under way, the oldest first; nobody takes the last place beside others of his own."""
        places = self._settings.running
        if len(self._jobs) >= places:
            return None
        under_way = Counter(job.owner for job, _ in self._jobs.values())
        allowed = [each for each in waiting if under_way[each[0].owner] < max(1, places - 1)]
        return min(allowed, key=lambda each: under_way[each[0].owner], default=None)

    async def _begin(self, batch: Batch, principal: Principal) -> None:
        dialect = self._dialects.get(batch.protocol)
        owner = await self._renew(principal)
        if dialect is None or owner is None:
            code, why = "invalid_api_key", "The key that asked for this batch is no longer valid."
            if dialect is None:
                code, why = "protocol_not_found", f"This gateway does not speak {batch.protocol!r} any more."
            await self._store.fail(batch, BatchError(code=code, message=why))
            return
        job = Job(
            batch,
            owner,
            dialect=dialect,
            store=self._store,
            files=self._files,
            ask=self._ask,
            places=self._places,
            max_lines=self._settings.max_lines,
        )
        if batch.expires <= self._wall():
            job.tell("expired", owner)
        task = asyncio.create_task(job.run(), name=batch.id)
        self._jobs[batch.id] = job, task
        task.add_done_callback(lambda task: self._ended(batch, task))

    async def _update(self, batch: Batch, principal: Principal) -> None:
        job, task = self._jobs[batch.id]
        owner = await self._renew(principal)
        if owner is None:
            task.cancel()
            return
        job.tell("expired" if batch.expires <= self._wall() else batch.status, owner)

    def _ended(self, batch: Batch, task: asyncio.Task[None]) -> None:
        self._jobs.pop(batch.id, None)
        self._broken.pop(batch.id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken[batch.id] = asyncio.get_running_loop().time() + AGAIN
            log.error("batch broke off and is tried again", batch=batch.id, reason=repr(error))
        self._wake.set()

    async def _sweep(self) -> None:
        await self._files.sweep()
        await self._store.sweep()

    async def _tried(self, work: Awaitable[None]) -> bool:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - a database that is away comes back
            log.warning("batches wait", reason=repr(error))
            return False
        return True


__all__ = ("Renew", "Runner")
