"""Lines of progress, and work that several clients watch: it is done once, and stops when the last one leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec


class Step(msgspec.Struct, frozen=True):
    """``digest`` is empty and ``total`` 0 where a line has none."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


Say = Callable[[Step], None]


class Stopped(Exception):
    """Raised in the working thread when nobody waits any more."""


class SharedWork:
    """One piece of work. ``say`` may be called from any thread."""

    def __init__(self, work: Callable[[SharedWork], Awaitable[None]], name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: dict[str, Step] = {}
        self._news = asyncio.Event()
        self._stop = threading.Event()
        self._watchers = 0
        self.task = asyncio.create_task(self._run(work), name=name)
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be left to ask

    @property
    def leaving(self) -> bool:
        """Nobody waits; it is stopping or over."""
        return self._stop.is_set() or self.task.done()

    def say(self, step: Step) -> None:
        self._loop.call_soon_threadsafe(self._take, step)

    def check(self) -> None:
        """Raises Stopped when the work should end. For the working thread, between two pieces."""
        if self._stop.is_set():
            raise Stopped

    def stop(self) -> None:
        self._stop.set()

    async def watch(self) -> AsyncGenerator[Step, None]:
        """Every line so far, then each as it comes: of one file the latest only. Raises what ended the work."""
        self._watchers += 1
        seen: dict[str, Step] = {}
        try:
            while True:
                news, done = self._news, self.task.done()
                for key, step in list(self._lines.items()):
                    if seen.get(key) is not step:
                        seen[key] = step
                        yield step
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

    def _take(self, step: Step) -> None:
        self._lines[step.status] = step
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


__all__ = ("Say", "SharedWork", "Step", "Stopped")
