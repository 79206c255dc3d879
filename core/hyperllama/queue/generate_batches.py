"""Generations of several clients in one batch, for engines that admit nothing to a batch that runs.

Gathered as in :mod:`hyperllama.queue.gathering`: at most what the engine's batch holds, and the next batch begins when
every stream of the one before is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from hyperllama.config import Queue
from hyperllama.errors import EngineFailed
from hyperllama.generation import GenerationRequest, TokenChunk
from hyperllama.queue.gathering import Gathering, Give
from hyperllama.spi import GeneratesBatches, LoadedModel
from hyperllama.stream import TokenStream

KEPT = 64  # models whose pace is remembered


class GenerateBatcher:
    """``generate`` replaces ``LoadedModel.generate``; models that batch by themselves are called as they are."""

    def __init__(self, settings: Queue, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._settings = settings
        self._clock = clock
        self._groups: dict[int, Gathering[GenerationRequest, TokenStream]] = {}

    def reload(self, settings: Queue) -> None:
        """Apply a new delay."""
        self._settings = settings

    async def generate(self, model: LoadedModel, request: GenerationRequest) -> TokenStream:
        # What isinstance() asks of a Protocol, at a tenth of its price.
        if not hasattr(model, "generate_batch"):
            return await model.generate(request)
        assert isinstance(model, GeneratesBatches)  # noqa: S101 - for the type checker
        group = self._groups.get(id(model))
        if group is None:
            self._forget()
            group = self._groups[id(model)] = self._group(model, model.info.max_batch_size)
        return await group.ask(request, 1)

    def _group(self, model: GeneratesBatches, most: int) -> Gathering[GenerationRequest, TokenStream]:
        async def run(requests: Sequence[GenerationRequest], give: Give[TokenStream]) -> None:
            streams = await model.generate_batch(requests)
            if len(streams) != len(requests):
                for stream in streams:
                    await stream.aclose()
                raise EngineFailed(f"The engine returned {len(streams)} answers to {len(requests)} requests.")
            open_ = _Open(len(streams))
            for part in give([TokenStream(_Part(stream), open_.closed) for stream in streams]):
                await part.aclose()
            await open_.none.wait()

        return Gathering(
            run,
            lambda: (most, self._settings.generate_max_delay),
            overlap=False,
            clock=self._clock,
            unclaimed=TokenStream.aclose,
        )

    def _forget(self) -> None:
        """Drop idle groups, since ids of unloaded models must not stay; what the groups learned is lost."""
        if len(self._groups) >= KEPT:
            self._groups = {name: group for name, group in self._groups.items() if not group.idle}


class _Part:
    """An engine's stream as the source of another, which counts."""

    def __init__(self, stream: TokenStream) -> None:
        self._stream = stream
        self.relay = stream.relay

    async def batch(self) -> Sequence[TokenChunk]:
        return await self._stream.batch()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Open:
    """Counts the streams of one batch that are not closed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.none = asyncio.Event()

    async def closed(self) -> None:
        self._count -= 1
        if not self._count:
            self.none.set()


__all__ = ("GenerateBatcher",)
