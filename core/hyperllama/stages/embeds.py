"""Embeddings of several clients in one engine call.

A lone client waits for nobody: its text goes at once. Texts that come while a call is under way are gathered, and go
together when it ends, at most ``max_inputs`` at a time. The clients whose answers just went out are likely to be back
in a moment, so a gathered batch waits a little for them, for as long as that keeps paying off and never above
``max_delay``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import msgspec

from hyperllama.config import Queue
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import EngineFailed, GatewayError, InvalidRequest
from hyperllama.spi import Embeds
from hyperllama.stages import estimate

SHARE = 0.25  # of an engine call's own length that a batch may wait for company
LEAST = 0.0002  # seconds: a shorter wait is not worth a timer

Flags: TypeAlias = tuple[int, bool, bool, int | None]


class EmbedBatcher:
    """Gathers calls of the same model and flags. ``embed`` stands in for ``Embeds.embed``."""

    def __init__(self, settings: Queue, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._settings = settings
        self._clock = clock
        self._groups: dict[Flags, _Group] = {}

    def reload(self, settings: Queue) -> None:
        """Take on new bounds, from the next group of calls on."""
        self._settings = settings

    async def embed(self, model: Embeds, request: EmbeddingRequest) -> Embeddings:
        """As ``model.embed``, perhaps together with others'. One client's bad input is no other's error."""
        if not self._settings.embed_batching:
            return await model.embed(request)
        flags = (id(model), request.normalize, request.truncate, request.dimensions)
        group = self._groups.get(flags)
        if group is None:
            group = self._groups[flags] = _Group(model, self._settings, self._clock)
        try:
            return await group.embed(request)
        finally:
            if group.idle and self._groups.get(flags) is group and len(self._groups) > 64:
                del self._groups[flags]  # what it learned is lost; ids of models that are gone must not stay


class _Item:
    __slots__ = ("future", "request")

    def __init__(self, request: EmbeddingRequest, future: asyncio.Future[Embeddings]) -> None:
        self.request = request
        self.future = future


class _Group:
    """One model and one set of flags."""

    def __init__(self, model: Embeds, settings: Queue, clock: Callable[[], float]) -> None:
        self._model = model
        self._settings = settings
        self._clock = clock
        self._waiting: list[_Item] = []
        self._inputs = 0  # of those waiting
        self._running = 0  # engine calls under way
        self._length = 0.0  # seconds an engine call takes, smoothed
        self._patience = 1.0  # how much of the longest wait has been paying off
        self._expected = 0  # inputs that a batch being gathered waits for; 0: none is, or it waits for a call to end
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        return not self._running and not self._waiting and not self._expected

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        if self.idle or len(request.inputs) >= self._settings.embed_max_inputs:
            return await self._call(request)
        item = _Item(request, asyncio.get_running_loop().create_future())
        self._waiting.append(item)
        self._inputs += len(request.inputs)
        if self._inputs >= (self._expected or self._settings.embed_max_inputs):
            self._flush()
        try:
            return await item.future
        except asyncio.CancelledError:
            if item in self._waiting:
                self._waiting.remove(item)
                self._inputs -= len(request.inputs)
            raise

    async def _call(self, request: EmbeddingRequest, clients: int = 1) -> Embeddings:
        began = self._clock()
        self._running += 1
        try:
            answer = await self._model.embed(request)
            passed = self._clock() - began
            self._length += (passed - self._length) / 8 if self._length else passed
            return answer
        finally:
            self._running -= 1
            self._ended(len(request.inputs), clients)

    def _ended(self, inputs: int, clients: int) -> None:
        """A call is over: whoever gathered meanwhile goes, now or when those it served are back."""
        if self._running or self._expected or (clients == 1 and not self._waiting):
            return
        most = self._settings.embed_max_inputs
        delay = min(self._settings.embed_max_delay, self._length * SHARE) * self._patience
        if self._inputs >= most or delay < LEAST:
            self._patience = min(self._patience * 1.02, 1.0)  # so that waiting is tried again one day
            self._flush()
            return
        self._expected = min(self._inputs + inputs, most)
        self._timer = asyncio.get_running_loop().call_later(delay, self._late, self._inputs)

    def _late(self, before: int) -> None:
        """Not everyone came back in time."""
        gained = self._inputs > before
        self._patience = min(self._patience * 1.25, 1.0) if gained else max(self._patience / 2, 0.001)
        self._flush()

    def _flush(self) -> None:
        """Send what has gathered, in calls of at most ``embed_max_inputs`` texts."""
        if self._timer is not None:
            if not self._timer.cancelled() and self._timer.when() > asyncio.get_running_loop().time():
                self._patience = min(self._patience * 1.25, 1.0)
            self._timer.cancel()
            self._timer = None
        self._expected = 0
        while self._waiting:
            batch: list[_Item] = []
            inputs = 0
            while self._waiting and (
                not batch or inputs + len(self._waiting[0].request.inputs) <= self._settings.embed_max_inputs
            ):
                item = self._waiting.pop(0)
                inputs += len(item.request.inputs)
                batch.append(item)
            self._inputs -= inputs
            task = asyncio.create_task(self._together(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            for item in batch:
                item.future.add_done_callback(partial(_abandon, batch, task))

    async def _together(self, batch: list[_Item]) -> None:
        batch = [item for item in batch if not item.future.done()]
        if not batch:
            return
        try:
            if len(batch) == 1:
                _give(batch[0], await self._call(batch[0].request))
                return
            inputs = tuple(text for item in batch for text in item.request.inputs)
            answer = await self._call(msgspec.structs.replace(batch[0].request, inputs=inputs), len(batch))
            for item, part in zip(batch, _split(answer, [item.request for item in batch]), strict=True):
                _give(item, part)
        except InvalidRequest as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            for item in batch:  # one of them is at fault: each for itself, one after the other
                await self._together([item])
        except GatewayError as error:
            _fail(batch, error)
        except asyncio.CancelledError:
            for item in batch:
                item.future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - an engine's mistake must reach those who wait, not the event loop
            failure = EngineFailed("the embeddings could not be made because of an internal error")
            failure.__cause__ = error
            _fail(batch, failure)


def _give(item: _Item, answer: Embeddings) -> None:
    if not item.future.done():
        item.future.set_result(answer)


def _fail(batch: list[_Item], error: GatewayError) -> None:
    for item in batch:
        if not item.future.done():
            item.future.set_exception(error)


def _abandon(batch: list[_Item], task: asyncio.Task[None], _: asyncio.Future[Embeddings]) -> None:
    """Nobody waits for this batch any more."""
    if all(item.future.cancelled() for item in batch):
        task.cancel()


def _split(answer: Embeddings, requests: list[EmbeddingRequest]) -> list[Embeddings]:
    """Each request's part. Tokens are the engine's count by input, or their sum shared out by the texts' lengths."""
    parts = []
    start = 0
    counts = answer.input_tokens or _shares(answer.prompt_tokens, requests)
    for request in requests:
        end = start + len(request.inputs)
        part = Embeddings(
            vectors=answer.vectors[start:end],
            prompt_tokens=sum(counts[start:end]),
            load_ns=answer.load_ns,
            total_ns=answer.total_ns,
            input_tokens=answer.input_tokens[start:end],
        )
        parts.append(part)
        start = end
    return parts


def _shares(tokens: int, requests: list[EmbeddingRequest]) -> list[int]:
    weights = [estimate.input_tokens(text) for request in requests for text in request.inputs]
    total, shares, given, seen = sum(weights), [], 0, 0
    for weight in weights:
        seen += weight
        upto = tokens * seen // total
        shares.append(upto - given)
        given = upto
    return shares


__all__ = ("EmbedBatcher",)
