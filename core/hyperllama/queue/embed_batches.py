"""Embeddings of several clients in one engine call, gathered by :mod:`hyperllama.queue.gathering`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from hyperllama.config import Queue
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.limits import estimate
from hyperllama.queue.gathering import Gathering, Give
from hyperllama.spi import Embeds

Flags: TypeAlias = tuple[int, bool, bool, int | None]


class EmbedBatcher:
    """Gathers calls of the same model and flags. ``embed`` stands in for ``Embeds.embed``."""

    def __init__(self, settings: Queue, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._settings = settings
        self._clock = clock
        self._groups: dict[Flags, _Group] = {}
        self.calls = 0  # of engines, and the texts in them; for metrics
        self.inputs = 0

    def reload(self, settings: Queue) -> None:
        """Apply new bounds, from the next group of calls on."""
        self._settings = settings

    async def embed(self, model: Embeds, request: EmbeddingRequest) -> Embeddings:
        """Embed as ``model.embed`` does, perhaps together with others. Bad input of one client fails no other."""
        if not self._settings.embed_batching:
            self._count(len(request.inputs))
            return await model.embed(request)
        flags = (id(model), request.normalize, request.truncate, request.dimensions)
        group = self._groups.get(flags)
        if group is None:
            group = self._groups[flags] = _Group(model, self._settings, self._clock, self._count)
        try:
            return await group.embed(request)
        finally:
            if group.idle and self._groups.get(flags) is group and len(self._groups) > 64:
                del self._groups[flags]  # what it learned is lost; ids of models that are gone must not stay

    def _count(self, inputs: int) -> None:
        self.calls += 1
        self.inputs += inputs


class _Group(Gathering[EmbeddingRequest, Embeddings]):
    """One model and one set of flags."""

    def __init__(
        self, model: Embeds, settings: Queue, clock: Callable[[], float], count: Callable[[int], None]
    ) -> None:
        bounds = (settings.embed_max_inputs, settings.embed_max_delay)
        super().__init__(self._embed_together, lambda: bounds, overlap=True, clock=clock)
        self._model = model
        self._most = settings.embed_max_inputs
        self._count = count

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        size = len(request.inputs)
        if self.idle or size >= self._most:  # no other client waits: spare the task
            self._count(size)
            return await self.alone(self._model.embed(request), size)
        return await self.ask(request, size)

    async def _embed_together(self, requests: Sequence[EmbeddingRequest], give: Give[Embeddings]) -> None:
        inputs = tuple(text for request in requests for text in request.inputs)
        self._count(len(inputs))
        if len(requests) == 1:
            give([await self._model.embed(requests[0])])
            return
        answer = await self._model.embed(msgspec.structs.replace(requests[0], inputs=inputs))
        give(_split(answer, requests))


def _split(answer: Embeddings, requests: Sequence[EmbeddingRequest]) -> list[Embeddings]:
    """Return each request's part. Tokens are counted by the engine, or its sum is divided by the texts' lengths."""
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
            cut=answer.cut[start:end],
        )
        parts.append(part)
        start = end
    return parts


def _shares(tokens: int, requests: Sequence[EmbeddingRequest]) -> list[int]:
    weights = [estimate.input_tokens(text) for request in requests for text in request.inputs]
    total, shares, assigned, seen = sum(weights), [], 0, 0
    for weight in weights:
        seen += weight
        upto = tokens * seen // total
        shares.append(upto - assigned)
        assigned = upto
    return shares


__all__ = ("EmbedBatcher",)
