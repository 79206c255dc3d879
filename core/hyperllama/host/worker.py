"""What runs in an engine host: the one Protocol an engine implements to live in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import GatewayError
from hyperllama.generation import Effort, GenerationRequest, TokenChunk, ToolSpec
from hyperllama.messages import Input
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.spi import Report


class Pulse(msgspec.Struct, frozen=True):
    """What the engine is doing. ``busy``: seconds the present step has run, 0: waiting for work."""

    steps: int = 0
    busy: float = 0.0
    active: int = 0
    vram: int = 0


class Line(Protocol):
    """How a worker reaches the gateway. Both send in one frame; call them on the I/O loop, or through ``later``."""

    def step(self, chunks: list[tuple[int, TokenChunk]]) -> None:
        """Chunks of one engine step, any number of streams. A finish reason ends its stream."""
        ...

    def fail(self, errors: Sequence[tuple[int, GatewayError]]) -> None:
        """End streams with an error."""
        ...

    def later(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` on the I/O loop soon. The one method that any thread may call."""
        ...


class Worker(Protocol):
    """An engine inside its host. Made by the factory ``module:attribute`` with a :class:`Line`.

    ``load`` and ``run`` are called on the main thread, everything else on the I/O loop of another
    thread. What a coroutine raises as a GatewayError refuses the request.
    """

    def load(self, spec: ModelSpec, path: Path | None, settings: dict[str, Any], report: Report) -> ModelInfo:
        """Get ready. Raises LoadFailed or ConfigError with a sentence for whoever asked for the model."""
        ...

    def run(self) -> None:
        """Work until ``stop``."""
        ...

    def stop(self) -> None:
        """Make ``run`` return soon."""
        ...

    def pulse(self) -> Pulse: ...

    async def submit(self, id: int, request: GenerationRequest) -> None:
        """Admit: returning means that chunks of ``id`` will follow. Cancelling it takes the request back."""
        ...

    def cancel(self, id: int) -> None:
        """Stop the admitted ``id``; late chunks are dropped by the host. Unknown or finished: nothing happens."""
        ...

    async def embed(self, request: EmbeddingRequest) -> Embeddings: ...

    async def tokenize(
        self, input: Input, *, tools: Sequence[ToolSpec] = (), reasoning: bool | Effort | None = None
    ) -> tuple[int, ...]: ...

    async def detokenize(self, ids: Sequence[int]) -> str: ...


__all__ = ("Line", "Pulse", "Worker")
