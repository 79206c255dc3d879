"""Blocking work of a host: on few threads, the cheapest first, each with a deadline."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from hyperllama.errors import InvalidRequest, Overloaded

T = TypeVar("T")

SECONDS: Final = 5.0  # that a job may take
WAIT: Final = 10.0  # seconds that it may wait for a thread
PLACES: Final = 256  # jobs that wait
SLICE: Final = 1e-3  # seconds of work between two rests


class Deadline:
    """A time limit that a job checks between its parts, to end in time and to leave the interpreter to the engine."""

    def __init__(self, seconds: float, *, rests: bool = True) -> None:
        now = time.monotonic()
        self._end = now + seconds
        self._rests = rests
        self._next = now + SLICE
        self.passed = False

    def check(self) -> None:
        """Rest after a millisecond's work as long as that took. Raises TimeoutError when the time is over."""
        now = time.monotonic()
        if now < self._next:
            return
        if self.passed or now > self._end:
            raise TimeoutError
        if self._rests:
            time.sleep(min(SLICE + now - self._next, 10 * SLICE))
        self._next = time.monotonic() + SLICE


class Jobs:
    """A pool of threads for functions. For the I/O loop; every method is called there.

    A request that is small is not kept waiting by those that are large, however many: of the jobs that wait the one
    of the lowest cost is next. A job that is over its deadline fails for its caller at once and ends at its next
    ``Deadline.check``; one that makes none keeps its thread until it returns.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int = 1,
        seconds: float = SECONDS,
        wait: float = WAIT,
        inline: int = -1,
        late: str = "This request takes longer than {seconds:g} s to prepare; make it smaller.",
        busy: str = "The engine is preparing other large requests; ask again in a moment.",
    ) -> None:
        """``seconds`` a job may take, ``wait`` seconds it may wait for a thread. Jobs of a cost up to ``inline`` are
        run at once, on the I/O loop. ``late`` and ``busy`` are the sentences of the two refusals.
        """
        self._pool = ThreadPoolExecutor(threads, name)
        self._free = threads
        self._seconds = seconds
        self._wait = wait
        self._inline = inline
        self._late = late.format(seconds=seconds)
        self._busy = busy
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def run(self, work: Callable[[Deadline], T], *, cost: int = 0) -> T:
        """Return what ``work`` returns, or raise what it raises. ``cost`` is any number that grows with the work.

        Raises Overloaded when no thread was free in time, InvalidRequest when the work takes too long.
        """
        if cost <= self._inline:
            try:
                return work(Deadline(self._seconds, rests=False))
            except TimeoutError:
                raise InvalidRequest(self._late) from None
        await self._take_thread(cost)
        loop = asyncio.get_running_loop()
        deadline = Deadline(self._seconds)
        future = self._pool.submit(work, deadline)
        # The thread is free when the work has ended, which may be long after the caller has gone.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._release))
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise InvalidRequest(self._late) from None
        finally:
            deadline.passed = True

    async def _take_thread(self, cost: int) -> None:
        if self._free:
            self._free -= 1
            return
        if len(self._waiting) >= PLACES:
            raise Overloaded(self._busy, retry_after=1)
        turn = asyncio.get_running_loop().create_future()
        entry = (cost, next(self._numbers), turn)
        heapq.heappush(self._waiting, entry)
        try:
            async with asyncio.timeout(self._wait):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._release()
            else:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            if isinstance(error, TimeoutError):
                raise Overloaded(self._busy, retry_after=1) from None
            raise

    def _release(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


__all__ = ("Deadline", "Jobs")
