"""The model's batch: so many places, first come first served, one token for every stream each step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from hyperllama.errors import EngineFailed, GatewayError
from hyperllama.generation import TokenChunk
from hyperllama_sim.plan import Plan
from hyperllama_sim.settings import SimOptions

_AHEAD = 16  # chunks made in one go: a generator that is resumed once a step finds its memory cold each time
_LAG = 0.25  # seconds of missed steps that are made up for


class Sink(Protocol):
    """The receiver of a stream's tokens: a ChunkQueue, or its stand-in in a host."""

    def put(self, chunk: TokenChunk) -> None: ...

    def fail(self, error: Exception) -> None: ...


class Place:
    """A request in the batch, or waiting for it."""

    __slots__ = ("ahead", "chunks", "faulty", "poisoned", "prefill", "produced", "ready", "sink")

    def __init__(self, plan: Plan, sink: Sink, options: SimOptions) -> None:
        self.chunks: Iterator[TokenChunk] = plan.chunks
        self.ahead: list[TokenChunk] = []  # made and not sent, last first
        self.sink = sink
        rate = options.prefill_tokens_per_second
        self.prefill = options.ttft_ms / 1000 + (plan.prompt_tokens / rate if rate else 0.0)
        self.ready = 0.0
        self.produced = 0
        at_token = (options.crash_at_token, options.hang_at_token, options.error_at_token, options.bug_at_token)
        self.faulty = any(token is not None for token in at_token) and options.fault_prompt in plan.prompt
        self.poisoned = options.poison is not None and options.poison in plan.prompt


class Batch:
    """The requests under way, on the event loop, in steps of one timer; an idle batch costs nothing."""

    def __init__(
        self,
        options: SimOptions,
        size: int,
        *,
        on_crash: Callable[[], None],
        on_hang: Callable[[], None] = lambda: None,
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the callbacks: ``on_crash`` and ``on_hang`` before streams are failed by that fault, ``on_step`` when
        every stream has been given its token."""
        self._options = options
        self._size = size
        self._on_crash = on_crash
        self._on_hang = on_hang
        self._on_step = on_step
        self._interval = 1 / options.tokens_per_second if options.tokens_per_second else 0.0
        self._running: dict[Place, None] = {}
        self._waiting: dict[Place, None] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._due = 0.0  # when the timer goes off
        self._next = 0.0  # when the next step may be
        self._hung = False
        self._dead = False
        self.steps = 0
        self.admitted = 0
        self.cancelled = 0
        self.tokens = 0
        self.largest = 0  # of all steps

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, plan: Plan, sink: Sink) -> Place:
        """Take a request. Nothing is put into ``sink`` before this has returned."""
        place = Place(plan, sink, self._options)
        self.admitted += 1
        self._waiting[place] = None
        self._fill(asyncio.get_running_loop())
        return place

    def cancel(self, place: Place) -> None:
        """Give its place to the next in line at once."""
        self.cancelled += 1
        self._waiting.pop(place, None)
        if self._running.pop(place, place) is None and not self._hung:
            self._fill(asyncio.get_running_loop())

    def fail(self, error: GatewayError) -> None:
        """End every stream with ``error``."""
        places = (*self._running, *self._waiting)
        self._running.clear()
        self._waiting.clear()
        self._stop()
        for place in places:
            place.sink.fail(error)

    def _fill(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if not self._running:
            self._next = max(self._next, now)  # no steps were missed while the batch was empty
        while self._waiting and len(self._running) < self._size:
            place = next(iter(self._waiting))
            del self._waiting[place]
            place.ready = now + place.prefill
            self._running[place] = None
            self._arm(loop, now, max(place.ready, self._next))

    def _arm(self, loop: asyncio.AbstractEventLoop, now: float, due: float) -> None:
        """Schedule a step at ``due`` or before."""
        if self._hung or (self._timer is not None and self._due <= due):
            return
        self._stop()
        self._due = due
        self._timer = loop.call_soon(self._step, loop) if due <= now else loop.call_at(due, self._step, loop)

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _step(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        ended, produced = [], 0
        for place in (*self._running,):
            if place.ready > now:
                continue
            if (place.faulty or place.poisoned) and self._fault(place):
                if self._hung or self._dead:
                    return
                continue
            if not place.ahead:
                place.ahead = [*islice(place.chunks, _AHEAD)][::-1]
            chunk = place.ahead.pop()
            place.produced += 1
            produced += 1
            place.sink.put(chunk)
            if chunk.finish_reason is not None:
                ended.append(place)
        for place in ended:
            del self._running[place]
        self.steps += 1
        self.tokens += produced
        self.largest = max(self.largest, produced)
        self._next = max(self._next, now - _LAG) + self._interval if produced else now
        self._on_step()
        if ended or self._waiting:
            self._fill(loop)
        if self._running:
            soonest = 0.0 if produced else min(place.ready for place in self._running)
            self._arm(loop, now, max(self._next, soonest))

    def _fault(self, place: Place) -> bool:
        """Apply the fault that is due. Return whether there was one."""
        options = self._options
        if place.poisoned or (place.faulty and place.produced == options.crash_at_token):
            self._dead = True
            self._on_crash()
            self.fail(EngineFailed("the engine died while it worked on this request"))
            return True
        if place.faulty and place.produced == options.hang_at_token:
            self._hung = True
            self._on_hang()
            return True
        if place.faulty and place.produced == options.error_at_token:
            del self._running[place]
            place.sink.fail(EngineFailed("the engine could not go on with this request"))
            return True
        if place.faulty and place.produced == options.bug_at_token:
            del self._running[place]
            place.sink.fail(RuntimeError("a fault was asked for"))
            return True
        return False


__all__ = ("Batch", "Place", "Sink")
