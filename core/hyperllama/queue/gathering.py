"""Requests of several clients in one engine call.

A request of a lone client is sent at once. Requests that arrive during an engine call are gathered and sent together
when it ends. The clients that were just answered are likely to send again soon, so a gathered batch waits a little for
them, as long as that pays off and never longer than the longest delay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from hyperllama.errors import EngineFailed, GatewayError, InvalidRequest

Q = TypeVar("Q")
A = TypeVar("A")

SHARE = 0.25  # of an engine call's own length that a batch may wait for company
LEAST = 0.0002  # seconds: a shorter wait is not worth a timer

#: Hands out the answers, one a request; returns those whose clients have left.
Give: TypeAlias = Callable[[Sequence[A]], Sequence[A]]
#: One engine call: gives the answers when they are there, and returns when the engine is free for another.
Run: TypeAlias = Callable[[Sequence[Q], Give[A]], Awaitable[None]]


class _Item(Generic[Q, A]):
    __slots__ = ("future", "request", "size")

    def __init__(self, request: Q, size: int, future: asyncio.Future[A]) -> None:
        self.request = request
        self.size = size
        self.future = future


class Gathering(Generic[Q, A]):
    """Gathers requests that may share an engine call: those of one model, or of one model with the same flags."""

    def __init__(
        self,
        run: Run[Q, A],
        bounds: Callable[[], tuple[int, float]],
        *,
        overlap: bool,
        clock: Callable[[], float],
        unclaimed: Callable[[A], Awaitable[None]] | None = None,
    ) -> None:
        """Gather nothing yet. ``bounds`` returns the most requests of one call, and the longest delay in seconds.

        ``overlap``: a full call does not wait for the one under way. ``unclaimed`` gets an answer whose client left
        just as it came.
        """
        self._run = run
        self._bounds = bounds
        self._overlap = overlap
        self._clock = clock
        self._unclaimed = unclaimed
        self._waiting: list[_Item[Q, A]] = []
        self._size = 0  # of those waiting
        self._running = 0  # engine calls under way
        self._length = 0.0  # seconds an engine call takes, smoothed
        self._patience = 1.0  # how much of the longest wait has been paying off
        self._expected = 0  # size that a batch being gathered waits for; 0: none is, or it waits for a call to end
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        return not self._running and not self._waiting and not self._expected

    async def ask(self, request: Q, size: int) -> A:
        """Answer ``request``, perhaps together with others. A bad request of one client fails no other."""
        idle = self.idle
        item: _Item[Q, A] = _Item(request, size, asyncio.get_running_loop().create_future())
        self._waiting.append(item)
        self._size += size
        if idle or self._size >= (self._expected or self._bounds()[0]):
            self._flush()
        try:
            return await item.future
        except asyncio.CancelledError:
            if item in self._waiting:
                self._waiting.remove(item)
                self._size -= size
            elif self._unclaimed is not None and _answered(item.future):
                await asyncio.shield(self._unclaimed(item.future.result()))
            raise

    async def alone(self, work: Awaitable[A], size: int) -> A:
        """Await ``work``, an engine call for one client, while other requests gather."""
        began = self._clock()
        self._running += 1
        try:
            answer = await work
            self._learn(began)
            return answer
        finally:
            self._running -= 1
            self._ended(size, 1)

    def _learn(self, began: float) -> None:
        passed = self._clock() - began
        self._length += (passed - self._length) / 8 if self._length else passed

    def _ended(self, size: int, clients: int) -> None:
        """Send what gathered during a call, now or after a short wait for the clients it served."""
        if self._running or self._expected or (clients == 1 and not self._waiting):
            return
        most, longest = self._bounds()
        delay = min(longest, self._length * SHARE) * self._patience
        if self._size >= most or delay < LEAST:
            self._patience = min(self._patience * 1.02, 1.0)  # so that waiting is tried again one day
            self._flush()
            return
        self._expected = min(self._size + size, most)
        self._timer = asyncio.get_running_loop().call_later(delay, self._late, self._size)

    def _late(self, before: int) -> None:
        """Send the batch whose wait is over, and learn whether waiting paid off."""
        self._timer = None
        gained = self._size > before
        self._patience = min(self._patience * 1.25, 1.0) if gained else max(self._patience / 2, 0.001)
        self._flush()

    def _flush(self) -> None:
        """Send gathered requests in calls of at most the bound; without overlap in one call, if none runs."""
        if self._timer is not None:  # everyone came back before it went off
            self._patience = min(self._patience * 1.25, 1.0)
            self._timer.cancel()
            self._timer = None
        self._expected = 0
        most, _ = self._bounds()
        while self._waiting and (self._overlap or not self._running):
            batch: list[_Item[Q, A]] = []
            size = 0
            while self._waiting and (not batch or size + self._waiting[0].size <= most):
                item = self._waiting.pop(0)
                size += item.size
                batch.append(item)
            self._size -= size
            self._running += 1
            task = asyncio.create_task(self._call(batch, size))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            for item in batch:
                item.future.add_done_callback(partial(_abandon, batch, task))

    async def _call(self, batch: list[_Item[Q, A]], size: int) -> None:
        try:
            await self._together([item for item in batch if not item.future.done()])
        finally:
            self._running -= 1
            self._ended(size, len(batch))

    async def _together(self, batch: list[_Item[Q, A]]) -> None:
        if not batch:
            return
        began = self._clock()
        try:
            await self._run([item.request for item in batch], partial(_give, batch))
            self._learn(began)
        except InvalidRequest as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            for item in batch:  # one of them is at fault: each for itself, one after the other
                await self._together([item] if not item.future.done() else [])
        except GatewayError as error:
            _fail(batch, error)
        except asyncio.CancelledError:
            for item in batch:
                item.future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - an engine's mistake must reach those who wait, not the event loop
            failure = EngineFailed("The engine could not answer because of an internal error.")
            failure.__cause__ = error
            _fail(batch, failure)


def _answered(future: asyncio.Future[A]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _give(batch: Sequence[_Item[Q, A]], answers: Sequence[A]) -> Sequence[A]:
    left = []
    for item, answer in zip(batch, answers, strict=True):
        if item.future.done():
            left.append(answer)
        else:
            item.future.set_result(answer)
    return left


def _fail(batch: Sequence[_Item[Q, A]], error: GatewayError) -> None:
    for item in batch:
        if not item.future.done():
            item.future.set_exception(error)


def _abandon(batch: Sequence[_Item[Q, A]], task: asyncio.Task[None], _: asyncio.Future[A]) -> None:
    """Cancel an engine call when every client of its batch has left."""
    if all(item.future.cancelled() for item in batch):
        task.cancel()


__all__ = ("Gathering", "Give", "Run")
