"""A loaded model in the gateway's own process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import EngineFailed
from hyperllama.generation import Effort, GenerationRequest, Rendering, ToolSpec
from hyperllama.messages import Input
from hyperllama.models import ModelInfo
from hyperllama.stream import ChunkQueue, TokenStream
from hyperllama_sim.batch import Batch, Place
from hyperllama_sim.plan import plan
from hyperllama_sim.prompts import detokenize, token_texts, tokenize
from hyperllama_sim.settings import SimOptions
from hyperllama_sim.threads import TokenizerThread, size_of
from hyperllama_sim.vectors import Embedder


class SimModel:
    """The loaded model. ``batch`` shows its state: places taken and waited for, tokens made, requests cancelled."""

    def __init__(self, info: ModelInfo, options: SimOptions) -> None:
        self.info = info
        self.batch = Batch(options, info.max_batch_size, on_crash=self._crash)
        self._options = options
        self._tokenizer = TokenizerThread()
        self._embedder = Embedder(info, options, self._tokenizer)
        self._failure: str | None = None
        self._watchers: list[Callable[[str], None]] = []

    @property
    def failure(self) -> str | None:
        return self._failure

    def memory(self) -> tuple[int, int]:
        return self._options.memory_mb << 20, 0

    async def generate(self, request: GenerationRequest) -> TokenStream:
        self._check()
        understood = await self._tokenizer.run(
            size_of(request.input),
            lambda: plan(request, self._options, self.info.context_length, self.info.system),
        )
        place: Place
        queue = ChunkQueue(on_close=lambda: self.batch.cancel(place))
        place = self.batch.add(understood, queue)
        return TokenStream(queue)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        self._check()
        return await self._embedder.embed(request)

    async def tokenize(
        self,
        input: Input,
        *,
        tools: Sequence[ToolSpec] = (),
        reasoning: bool | Effort | None = None,
        rendering: Rendering | None = None,
    ) -> tuple[int, ...]:
        """Return the ids of the prompt; neither tools nor thinking change it in this model."""
        system = self.info.system if rendering is None else rendering.system
        return await self._tokenizer.run(size_of(input), lambda: tokenize(input, system))

    async def detokenize(self, ids: Sequence[int]) -> str:
        return await self._tokenizer.run(len(ids), lambda: detokenize(ids))

    async def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        return await self._tokenizer.run(len(ids), lambda: token_texts(ids))

    def watch(self, on_failure: Callable[[str], None]) -> None:
        self._watchers.append(on_failure)

    async def close(self) -> None:
        self._failure = self._failure or "the model was unloaded"
        self._tokenizer.close()
        self.batch.fail(EngineFailed("the model was unloaded while it worked on this request"))

    def _crash(self) -> None:
        if self._failure is None:
            self._failure = "the engine died"
            for watcher in self._watchers:
                watcher(self._failure)

    def _check(self) -> None:
        if self._failure is not None:
            raise EngineFailed(f"model {self.info.name!r} cannot serve: {self._failure}")


__all__ = ("SimModel",)
