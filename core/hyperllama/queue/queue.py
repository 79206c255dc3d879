"""The gate of the queue: admits as many calls of a model as its engine's batch holds; the rest wait for a fair turn.

A call of an idle model is admitted without waiting or a task switch. One whose caller leaves while it waits has cost
the engine nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from hyperllama.config import Queue, parse_duration
from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import GatewayError, Overloaded
from hyperllama.identity import Principal
from hyperllama.limits import estimate
from hyperllama.queue.fairness import Waiter
from hyperllama.queue.throughput import Throughput
from hyperllama.queue.waiting_queue import WaitingQueue
from hyperllama.spi import AuxiliaryWork, Call

ASSUMED_ANSWER = 256  # tokens, where the client did not say: only shares depend on it, and they are corrected

CROWDED = 0.25  # of the queue: from there on no owner gets more than its share of it


class QueueState(msgspec.Struct, frozen=True):
    """The queue of one model now. ``seconds``: expected wait of one more caller."""

    model: str
    embeddings: bool
    places: int
    running: int
    waiting: int
    waiting_tokens: int
    seconds: float


class FairQueue:
    """Weighted fair between owners and their keys, by class of priority; bounded per model, in calls and tokens."""

    order = 200

    def __init__(self, settings: Queue, *, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._lanes: dict[tuple[str, bool], _Lane] = {}
        self.reload(settings)

    def reload(self, settings: Queue) -> None:
        """Apply new bounds; waiting calls go on waiting."""
        self._settings = settings
        self._max_wait = parse_duration(settings.max_wait)
        self._ahead = settings.ahead
        for lane in self._lanes.values():
            lane.queue.floor = settings.floor

    async def enter(self, call: Call) -> None:
        """Wait for a place, held until the call ends. Raises Overloaded with the time to come back."""
        kind = type(call.request)
        if kind is AuxiliaryWork:  # has places of its own, beside the engine's batch
            call.admitted = self._clock()
            return
        embeddings = kind is EmbeddingRequest
        name = call.lane or call.info.name  # names that share a process share its batch
        lane = self._lanes.get((name, embeddings))
        if lane is None:
            lane = self._lanes[name, embeddings] = _Lane(self._settings.floor, self._clock)
        lane.places = (self._embed_places(call) if embeddings else call.info.max_batch_size) + self._ahead
        if lane.running >= lane.places or lane.queue.waiting:
            await self._wait(call, lane)
        else:
            lane.running += 1
            call.admitted = self._clock()
            call.on_finish.append(lane.release)

    def _embed_places(self, call: Call) -> int:
        """Return places for embeddings: more than the engine's batch where they are gathered further on, else one."""
        settings = self._settings
        return max(call.info.max_batch_size, 2 * settings.embed_max_inputs) if settings.embed_batching else 1

    def states(self) -> tuple[QueueState, ...]:
        """Return the state of every queue that was ever used."""
        return tuple(
            QueueState(
                model=model,
                embeddings=embeddings,
                places=lane.places,
                running=lane.running,
                waiting=lane.queue.waiting,
                waiting_tokens=lane.queue.tokens,
                seconds=lane.throughput.seconds(lane.queue.waiting + 1, lane.places) if lane.queue.waiting else 0.0,
            )
            for (model, embeddings), lane in self._lanes.items()
        )

    def refuse(self, error: GatewayError, model: str | None = None) -> None:
        """Refuse every waiting call (of ``model``): the gateway is stopping, or the model could not be loaded."""
        for (name, _), lane in self._lanes.items():
            while lane.queue.waiting and model in (None, name):
                lane.evict(lane.queue.next(), error)

    async def _wait(self, call: Call, lane: _Lane) -> None:
        principal = call.caller.principal
        prompt, answer = estimate.call_tokens(call, assumed=ASSUMED_ANSWER)
        lane.admit()  # there may be more places than there were
        self._make_room(call, lane, prompt)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = lane.queue.join(
            principal,
            tokens=prompt,
            cost=prompt + answer,
            future=future,
        )
        lane.throughput.waiting(self._clock() / 1e9)
        lane.admit()
        timer = None
        if not waiter.admitted and self._max_wait != float("inf"):
            timer = asyncio.get_running_loop().call_later(self._max_wait, self._expire, call, lane, waiter)
        try:
            await future
        except BaseException:
            lane.abandon(waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        call.admitted = self._clock()
        call.on_finish.append(_Place(lane, waiter).release)

    def _make_room(self, call: Call, lane: _Lane, prompt: int) -> None:
        """Refuse the newcomer, or evict a call of the owner that fills the queue beyond its share.

        An owner that has its share is held to it before the queue is full: there is room for the others, and no call
        that has waited is evicted for them. Within the share its keys displace each other.
        """
        principal, queue, settings = call.caller.principal, lane.queue, self._settings
        if queue.waiting >= CROWDED * settings.max_waiting and queue.over_share(principal, settings.max_waiting):
            self._evict(call, lane, queue.displace_within(principal))
        while queue.waiting >= settings.max_waiting or (
            queue.waiting and queue.tokens + prompt > settings.max_waiting_tokens
        ):
            self._evict(call, lane, queue.displace(principal))
        wait = lane.seconds(principal)
        if lane.throughput.measured and wait > self._max_wait:
            raise self._overloaded(call, lane, "is busy for longer than a request may wait")

    def _evict(self, call: Call, lane: _Lane, waiter: Waiter | None) -> None:
        """Refuse ``waiter``, taken out of the queue; None: the newcomer ``call``."""
        if waiter is None:
            raise self._overloaded(call, lane, "is busy and its queue is full")
        text = f"Model {call.info.name!r} is busy, and others wait who have had less of it."
        lane.evict(waiter, Overloaded(text, retry_after=lane.seconds(waiter.principal)))

    def _expire(self, call: Call, lane: _Lane, waiter: Waiter) -> None:
        if lane.queue.leave(waiter):
            lane.evict(waiter, self._overloaded(call, lane, "did not become free in time"))

    def _overloaded(self, call: Call, lane: _Lane, state: str) -> Overloaded:
        principal = call.caller.principal
        wait = lane.seconds(principal)
        text = (
            f"Model {call.info.name!r} {state}: {lane.queue.waiting} requests are waiting. Try again in {wait:.1f} s."
        )
        return Overloaded(text, retry_after=wait)


class _Lane:
    """The places of one model, and its queue."""

    __slots__ = ("_clock", "places", "queue", "running", "throughput")

    def __init__(self, floor: float, clock: Callable[[], int]) -> None:
        self.places = 1
        self.running = 0
        self.queue = WaitingQueue(floor)
        self.throughput = Throughput()
        self._clock = clock

    def admit(self) -> None:
        """Admit as many calls as there are free places."""
        queue = self.queue
        while queue.waiting and self.running < self.places:
            waiter = queue.next()
            if waiter.future.done():  # its caller left, and its task has not run since
                continue
            self.running += 1
            waiter.admitted = True
            waiter.future.set_result(None)
        if not queue.waiting:
            self.throughput.idle()

    async def release(self, call: Call) -> None:
        """Free the place of a call that has ended."""
        self.running -= 1
        began = max(call.admitted, call.loaded)  # a model's load is no measure of how fast it answers
        now = self._clock()
        self.throughput.completed(now / 1e9, (now - began) / 1e9)
        if self.queue.waiting:
            self.admit()

    def abandon(self, waiter: Waiter) -> None:
        """Take out a call whose caller left, from the queue or from the place it was just given."""
        if waiter.admitted:
            self.running -= 1
        else:
            self.queue.leave(waiter)
        self.admit()

    def evict(self, waiter: Waiter, error: GatewayError) -> None:
        """Raise ``error`` in a call that was taken out of the queue."""
        if not waiter.future.done():
            waiter.future.set_exception(error)

    def seconds(self, principal: Principal) -> float:
        """Estimate the seconds until a new call of ``principal`` would be admitted."""
        ahead = self.queue.ahead_of(principal)
        return self.throughput.seconds(ahead + 1, self.places)


class _Place:
    """The place of a call that had to wait: its owner's share is corrected to what it used."""

    __slots__ = ("_lane", "_waiter")

    def __init__(self, lane: _Lane, waiter: Waiter) -> None:
        self._lane = lane
        self._waiter = waiter

    async def release(self, call: Call) -> None:
        used = call.usage.total_tokens if call.usage is not None else call.tokens + call.estimate * bool(call.submitted)
        self._lane.queue.correct(self._waiter, used)
        await self._lane.release(call)


__all__ = ("FairQueue", "QueueState")
