"""Threads for one kind of blocking work, so that a slow kind delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

#: A thread that wants the interpreter gets it within this many seconds; Python's 5 ms is a decode step long, and the
#: event loop wants it several times for one request.
SWITCH_INTERVAL = 5e-4


class Workers:
    """A pool of ``threads`` for calls, of which ``waiting`` more may wait; beyond that :meth:`run` refuses.

    Threads start when they are first needed. Used on one event loop.
    """

    def __init__(self, name: str, threads: int, *, waiting: int, refusal: Callable[[], Exception]) -> None:
        """Start no thread yet. ``refusal`` makes the error of a call too many."""
        self._pool = ThreadPoolExecutor(threads, name)
        self._refusal = refusal
        self._most = threads + waiting
        self._running = 0

    @property
    def running(self) -> int:
        """Calls that run or wait."""
        return self._running

    async def run(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns. Raise the refusal at once when too many wait.

        A caller that is cancelled leaves a call that has begun to its end: give it a way to stop.
        """
        if self._running >= self._most:
            raise self._refusal()
        self._running += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        future.add_done_callback(self._done)
        return await future

    def close(self) -> None:
        """Begin no more calls; those that wait are cancelled. Do not wait for those that run."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, _: object) -> None:
        self._running -= 1


__all__ = ("SWITCH_INTERVAL", "Workers")
