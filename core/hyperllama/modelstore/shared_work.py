"""Work that several clients watch: it is done once, and stops when the last one leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

from hyperllama.spi import Progress

Report: TypeAlias = Callable[[Progress], None]


class Stopped(Exception):
    """The end of work that no client waits for any more, raised in its thread."""


class SharedWork:
    """Work that several clients watch. ``report`` may be called from any thread."""

    def __init__(self, work: Callable[[SharedWork], Awaitable[None]], name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._latest: dict[tuple[str, str], Progress] = {}
        self._news = asyncio.Event()
        self._stop = threading.Event()
        self._watchers = 0
        self.task = asyncio.create_task(self._run(work), name=name)
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # no client may be left

    @property
    def leaving(self) -> bool:
        """True if it is stopping, for lack of clients, or over."""
        return self._stop.is_set() or self.task.done()

    def report(self, progress: Progress) -> None:
        self._loop.call_soon_threadsafe(self._take, progress)

    def check(self) -> None:
        """Raise Stopped when the work should end. For the working thread, between two pieces."""
        if self._stop.is_set():
            raise Stopped

    def stop(self) -> None:
        self._stop.set()

    async def watch(self) -> AsyncGenerator[Progress, None]:
        """Yield each report so far and each as it comes, of one file the latest only. Raise what ended the work."""
        self._watchers += 1
        seen: dict[tuple[str, str], Progress] = {}
        try:
            while True:
                news, done = self._news, self.task.done()
                for key, progress in list(self._latest.items()):
                    if seen.get(key) is not progress:
                        seen[key] = progress
                        yield progress
                if done:
                    await self.task
                    return
                await news.wait()
        finally:
            self._watchers -= 1
            if self._watchers == 0:
                self._stop.set()

    async def _run(self, work: Callable[[SharedWork], Awaitable[None]]) -> None:
        try:
            await work(self)
        finally:
            self._loop.call_soon(self._wake)

    def _take(self, progress: Progress) -> None:
        self._latest[progress.phase, progress.digest] = progress
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


__all__ = ("Report", "SharedWork", "Stopped")
