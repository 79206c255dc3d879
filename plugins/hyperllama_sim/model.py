"""A loaded model in the gateway's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import EngineFailed, InvalidRequest, UnsupportedFeature
from hyperllama.generation import GenerationRequest
from hyperllama.messages import Input
from hyperllama.models import ModelInfo
from hyperllama.stream import TokenStream
from hyperllama_sim import tokens, vectors
from hyperllama_sim.batch import Batch
from hyperllama_sim.plan import plan
from hyperllama_sim.prompts import render
from hyperllama_sim.settings import SimOptions


class SimModel:
    """``batch`` shows what it is doing: places taken and waited for, tokens made, requests cancelled."""

    def __init__(self, info: ModelInfo, options: SimOptions) -> None:
        self.info = info
        self.batch = Batch(options, info.max_batch_size, self._fail)
        self._options = options
        self._failure: str | None = None
        self._watchers: list[Callable[[str], None]] = []
        self._embedding = asyncio.Lock()

    @property
    def failure(self) -> str | None:
        return self._failure

    def memory(self) -> tuple[int, int]:
        return self._options.memory_mb << 20, 0

    async def generate(self, request: GenerationRequest) -> TokenStream:
        self._check()
        return TokenStream(self.batch.add(plan(request, self._options, self.info.context_length, self.info.system)))

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        self._check()
        options = self._options
        if not options.embedding:
            raise UnsupportedFeature(f"model {self.info.name!r} makes no embeddings", param="model")
        if request.dimensions is not None and not 0 < request.dimensions <= options.embedding:
            raise InvalidRequest(f"dimensions must be 1 to {options.embedding}", param="dimensions")
        texts, count = vectors.texts(request, self.info.context_length)
        if cost := options.embed_ms + options.embed_input_ms * len(texts):
            async with self._embedding:
                await asyncio.sleep(cost / 1000)
        made = (
            vectors.vector(text, options.embedding, keep=request.dimensions, normalize=request.normalize)
            for text in texts
        )
        return Embeddings(tuple(made), count)

    async def tokenize(self, input: Input) -> tuple[int, ...]:
        return tokens.encode(render(input, self.info.system))

    async def detokenize(self, ids: Sequence[int]) -> str:
        try:
            return tokens.decode(ids)
        except ValueError as error:
            raise InvalidRequest(str(error), param="tokens") from error

    def watch(self, on_failure: Callable[[str], None]) -> None:
        self._watchers.append(on_failure)

    async def close(self) -> None:
        self._failure = self._failure or "the model was unloaded"
        self.batch.fail(EngineFailed("the model was unloaded while it worked on this request"))

    def _fail(self, reason: str) -> None:
        if self._failure is None:
            self._failure = reason
            for watcher in self._watchers:
                watcher(reason)

    def _check(self) -> None:
        if self._failure is not None:
            raise EngineFailed(f"model {self.info.name!r} cannot serve: {self._failure}")


__all__ = ("SimModel",)
