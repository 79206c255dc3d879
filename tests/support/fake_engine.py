"""An engine whose loads and deaths a test commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from hyperllama.errors import EngineFailed, LoadFailed
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec
from hyperllama.spi import LoadedModel, Report
from hyperllama.stream import ChunkQueue, TokenStream


class FakeModel:
    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self.failure: str | None = None
        self.closed = asyncio.Event()
        self.queues: list[ChunkQueue] = []
        self.cancelled: list[ChunkQueue] = []
        self._on_failure: Callable[[str], None] | None = None

    def memory(self) -> tuple[int, int]:
        return self.info.memory_bytes, 0

    async def generate(self, request: GenerationRequest) -> TokenStream:
        queue = ChunkQueue(lambda: self.cancelled.append(queue))
        self.queues.append(queue)
        return TokenStream(queue)

    def watch(self, on_failure: Callable[[str], None]) -> None:
        self._on_failure = on_failure

    async def close(self) -> None:
        self.closed.set()

    def die(self, reason: str = "killed") -> None:
        self.failure = reason
        for queue in self.queues:
            queue.fail(EngineFailed(reason))
        if self._on_failure is not None:
            self._on_failure(reason)


class FakeEngine:
    """``gate`` holds loads back while it is clear; ``broken`` makes them fail."""

    name = "fake"

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False
        self.models: list[FakeModel] = []
        self.loads = 0

    def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
        return ModelInfo(
            name=spec.name,
            engine="fake",
            capabilities=frozenset({"chat", "completion"}),
            context_length=128,
            aliases=spec.aliases,
            memory_bytes=int(spec.options.get("bytes", 10)),
        )

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> LoadedModel:
        self.loads += 1
        report(LoadProgress("loading"))
        await self.gate.wait()
        if self.broken:
            raise LoadFailed("the file is broken")
        model = FakeModel(self.describe(spec, path))
        self.models.append(model)
        return model


def answer(queue: ChunkQueue, *texts: str) -> None:
    """Put a whole answer into ``queue``."""
    for index, text in enumerate(texts):
        queue.put(TokenChunk(text=text, usage=Usage(prompt_tokens=3) if index == 0 else None))
    queue.put(TokenChunk(tokens=0, finish_reason="stop", usage=Usage(prompt_tokens=3, completion_tokens=len(texts))))
