"""The Protocol that an engine implements to run in a process of its own."""

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
    """The state of an engine. ``busy``: seconds the present step has run, 0: waiting for work."""

    steps: int = 0
    busy: float = 0.0
    active: int = 0
    vram: int = 0


class Channel(Protocol):
    """The way from a worker to the gateway. ``step`` and ``fail`` send one frame each, on the I/O loop only."""

    def step(self, chunks: list[tuple[int, TokenChunk]]) -> None:
        """Send the chunks of one engine step, of any number of streams. A finish reason ends its stream."""
        ...

    def fail(self, errors: Sequence[tuple[int, GatewayError]]) -> None:
        """End streams with an error."""
        ...

    def later(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` on the I/O loop soon. The one method that any thread may call."""
        ...


class Worker(Protocol):
    """An engine inside its host. Made by the factory ``module:attribute`` with a :class:`Channel`.

    ``load`` and ``run`` are called on the main thread, ``pulse`` on a thread of its own, everything else on the I/O
    loop of a third. A GatewayError that a coroutine raises refuses the request. A coroutine that takes the I/O loop
    for longer than a few milliseconds delays the tokens of every stream: see :class:`~hyperllama.host.Jobs`.
    """

    def load(self, spec: ModelSpec, path: Path | None, settings: dict[str, Any], report: Report) -> ModelInfo:
        """Load the model. Blocks. Raises LoadFailed or ConfigError with a sentence for the caller."""
        ...

    def run(self) -> None:
        """Work until ``stop`` is called. Blocks."""
        ...

    def stop(self) -> None:
        """Make ``run`` return soon."""
        ...

    def pulse(self) -> Pulse:
        """Return the engine's state. Takes no lock and waits for nothing."""
        ...

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


__all__ = ("Channel", "Pulse", "Worker")
