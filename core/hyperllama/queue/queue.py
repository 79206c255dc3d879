"""The gate of the queue: as many calls of a model go in as its engine's batch holds, the rest wait their fair turn.

An idle model costs its callers nothing: nobody awaits where a place is free. A caller that leaves while it waits has
cost the engine nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from hyperllama.config import Queue, parse_duration
from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import GatewayError, Overloaded
from hyperllama.limits import estimate
from hyperllama.queue.fairness import Line, Waiter
from hyperllama.queue.throughput import Drain
from hyperllama.spi import AuxiliaryWork, Call

ASSUMED_ANSWER = 256  # tokens, where the client did not say: only shares depend on it, and they are corrected

CROWDED = 0.25  # of the line, from where on nobody gets more than its share of it


class QueueState(msgspec.Struct, frozen=True):
    """One model's queue now. ``seconds``: expected wait of one more caller."""

    model: str
    embeddings: bool
    places: int
    running: int
    waiting: int
    waiting_tokens: int
    seconds: float


class FairQueue:
    """Weighted fair between principals, by class of priority, bounded in calls and in prompt tokens, per model."""

    order = 200

    def __init__(self, settings: Queue, *, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._lanes: dict[tuple[str, bool], _Lane] = {}
        self.reload(settings)

    def reload(self, settings: Queue) -> None:
        """Take on new bounds; whoever waits goes on waiting."""
        self._settings = settings
        self._max_wait = parse_duration(settings.max_wait)
        self._ahead = settings.ahead
        for lane in self._lanes.values():
            lane.line.floor = settings.floor

    async def enter(self, call: Call) -> None:
        """Return with a place, held until the call ends. Raises Overloaded with the time to come back."""
        kind = type(call.request)
        if kind is AuxiliaryWork:  # has places of its own, beside the engine's batch
            call.admitted = self._clock()
            return
        embeddings = kind is EmbeddingRequest
        lane = self._lanes.get((call.info.name, embeddings))
        if lane is None:
            lane = self._lanes[call.info.name, embeddings] = _Lane(self._settings.floor, self._clock)
        lane.places = (self._embed_places(call) if embeddings else call.info.max_batch_size) + self._ahead
        if lane.running >= lane.places or lane.line.waiting:
            await self._wait(call, lane)
        else:
            lane.running += 1
            call.admitted = self._clock()
            call.on_finish.append(lane.left)

    def _embed_places(self, call: Call) -> int:
        """They are gathered into one batch further on, so that more than the engine's batch go in; ungathered, one."""
        settings = self._settings
        return max(call.info.max_batch_size, 2 * settings.embed_max_inputs) if settings.embed_batching else 1

    def states(self) -> tuple[QueueState, ...]:
        """Every queue that was ever used."""
        return tuple(
            QueueState(
                model=model,
                embeddings=embeddings,
                places=lane.places,
                running=lane.running,
                waiting=lane.line.waiting,
                waiting_tokens=lane.line.tokens,
                seconds=lane.drain.seconds(lane.line.waiting + 1, lane.places) if lane.line.waiting else 0.0,
            )
            for (model, embeddings), lane in self._lanes.items()
        )

    def refuse(self, error: GatewayError, model: str | None = None) -> None:
        """Put everyone out who waits (for ``model``): the gateway is stopping, or the model could not be loaded."""
        for (name, _), lane in self._lanes.items():
            while lane.line.waiting and model in (None, name):
                lane.put_out(lane.line.next(), error)

    async def _wait(self, call: Call, lane: _Lane) -> None:
        principal = call.caller.principal
        prompt, answer = estimate.call_tokens(call, assumed=ASSUMED_ANSWER)
        lane.admit()  # there may be more places than there were
        self._make_room(call, lane, prompt)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = lane.line.join(
            principal.id,
            weight=principal.weight,
            priority=principal.priority,
            tokens=prompt,
            cost=prompt + answer,
            future=future,
        )
        lane.drain.waiting(self._clock() / 1e9)
        lane.admit()
        timer = None
        if not waiter.admitted and self._max_wait != float("inf"):
            timer = asyncio.get_running_loop().call_later(self._max_wait, self._expire, call, lane, waiter)
        try:
            await future
        except BaseException:
            lane.gone(waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        call.admitted = self._clock()
        call.on_finish.append(_Place(lane, waiter).left)

    def _make_room(self, call: Call, lane: _Lane, prompt: int) -> None:
        """Refuse the newcomer, or put out whoever fills the line more than its share.

        Who has its share is refused before the line is full: room is left for the others, and nobody who has waited
        is put out for them.
        """
        principal, line, settings = call.caller.principal, lane.line, self._settings
        if line.waiting >= CROWDED * settings.max_waiting and line.over_share(
            principal.id, weight=principal.weight, priority=principal.priority, places=settings.max_waiting
        ):
            raise self._overloaded(call, lane, "is busy and its queue is full")
        while line.waiting >= settings.max_waiting or (
            line.waiting and line.tokens + prompt > settings.max_waiting_tokens
        ):
            out = line.yield_to(principal.id, weight=principal.weight, priority=principal.priority)
            if out is None:
                raise self._overloaded(call, lane, "is busy and its queue is full")
            flow = out.flow
            wait = lane.seconds(flow.principal, flow.weight, flow.priority)
            text = f"Model {call.info.name!r} is busy, and others wait who have had less of it."
            lane.put_out(out, Overloaded(text, retry_after=wait))
        wait = lane.seconds(principal.id, principal.weight, principal.priority)
        if lane.drain.measured and wait > self._max_wait:
            raise self._overloaded(call, lane, "is busy for longer than a request may wait")

    def _expire(self, call: Call, lane: _Lane, waiter: Waiter) -> None:
        if lane.line.leave(waiter):
            lane.put_out(waiter, self._overloaded(call, lane, "did not become free in time"))

    def _overloaded(self, call: Call, lane: _Lane, what: str) -> Overloaded:
        principal = call.caller.principal
        wait = lane.seconds(principal.id, principal.weight, principal.priority)
        text = f"Model {call.info.name!r} {what}: {lane.line.waiting} requests are waiting. Try again in {wait:.1f} s."
        return Overloaded(text, retry_after=wait)


class _Lane:
    """One model's places, and its line."""

    __slots__ = ("_clock", "drain", "line", "places", "running")

    def __init__(self, floor: float, clock: Callable[[], int]) -> None:
        self.places = 1
        self.running = 0
        self.line = Line(floor)
        self.drain = Drain()
        self._clock = clock

    def admit(self) -> None:
        """Let in as many as there are places."""
        line = self.line
        while line.waiting and self.running < self.places:
            waiter = line.next()
            if waiter.future.done():  # left, and has not run yet to say so
                continue
            self.running += 1
            waiter.admitted = True
            waiter.future.set_result(None)
        if not line.waiting:
            self.drain.idle()

    async def left(self, call: Call) -> None:
        """A place is free again."""
        self.running -= 1
        began = max(call.admitted, call.loaded)  # a model's load is no measure of how fast it answers
        now = self._clock()
        self.drain.completed(now / 1e9, (now - began) / 1e9)
        if self.line.waiting:
            self.admit()

    def gone(self, waiter: Waiter) -> None:
        """Its caller left: out of line, or out of the place it was just given."""
        if waiter.admitted:
            self.running -= 1
        else:
            self.line.leave(waiter)
        self.admit()

    def put_out(self, waiter: Waiter, error: GatewayError) -> None:
        """It has been taken out of line; tell it."""
        if not waiter.future.done():
            waiter.future.set_exception(error)

    def seconds(self, principal: str, weight: float, priority: int) -> float:
        """When a newcomer would go in, at the rate the model lets calls go."""
        ahead = self.line.ahead_of(principal, weight=weight, priority=priority)
        return self.drain.seconds(ahead + 1, self.places)


class _Place:
    """The place of one that had to wait: its share is corrected to what it used."""

    __slots__ = ("_lane", "_waiter")

    def __init__(self, lane: _Lane, waiter: Waiter) -> None:
        self._lane = lane
        self._waiter = waiter

    async def left(self, call: Call) -> None:
        used = call.usage.total_tokens if call.usage is not None else call.tokens + call.estimate * bool(call.submitted)
        self._lane.line.correct(self._waiter, used)
        await self._lane.left(call)


__all__ = ("FairQueue", "QueueState")
