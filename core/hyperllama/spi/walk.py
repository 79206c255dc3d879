"""What a request passes on its way: gates, stages, transforms, observers, and who says whose it is."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import msgspec

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import GatewayError
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.identity import Caller, Credentials, Principal
from hyperllama.models import ModelInfo
from hyperllama.spi.engines import LoadedModel
from hyperllama.stream import TokenStream

if TYPE_CHECKING:
    import click

Outcome: TypeAlias = Literal["finished", "failed", "cancelled", "refused"]


class Call(msgspec.Struct, kw_only=True):
    """One piece of work on its way through the pipeline. The only mutable value.

    Times are ``time.perf_counter_ns()``; 0: not there yet.
    """

    caller: Caller
    request: GenerationRequest | EmbeddingRequest
    info: ModelInfo
    model: LoadedModel | None = None  # None: not loaded yet
    started: int = msgspec.field(default_factory=time.perf_counter_ns)
    admitted: int = 0  # gates passed
    loaded: int = 0  # model in memory
    submitted: int = 0  # accepted by the engine
    first: int = 0  # first chunk
    last: int = 0  # last chunk
    tokens: int = 0
    usage: Usage | None = None  # set by the last chunk
    outcome: Outcome | None = None  # set once, before ``on_finish`` runs
    error: GatewayError | None = None
    truncated: int = 0  # messages, or inputs to embed, that lost something so that they fit the context
    estimate: int = 0  # prompt tokens, guessed from the text by the first gate that asks; 0: nobody asked
    headers: dict[str, str] = {}  # of the answer: what gates tell the client of its allowances
    on_finish: list[Callable[[Call], Awaitable[None]]] = []

    async def finish(self) -> None:
        """Run what gates and stages left behind, newest first, once."""
        while self.on_finish:
            await self.on_finish.pop()(self)


class Gate(Protocol):
    """Decides who goes in: limits, quotas, the queue. Gates pass generations and embeddings alike, by ``order``.

    Built in: limits 100, queue 200.
    """

    @property
    def order(self) -> int: ...

    async def enter(self, call: Call) -> None:
        """Return to admit, wait to delay, raise to refuse. To act when the call ends, append to ``call.on_finish``."""
        ...


CallNext: TypeAlias = Callable[[Call], Awaitable[TokenStream]]


class Stage(Protocol):
    """A step around generation that may change the request or see the stream: caching, rewriting, translation.

    Refuse by raising before ``call_next``. Return its stream untouched unless every token must be seen.
    """

    @property
    def order(self) -> int: ...

    async def __call__(self, call: Call, call_next: CallNext) -> TokenStream: ...


class Transform(Protocol):
    """Chunks to chunks, for one generation: stop strings, reasoning spans, tool calls."""

    def feed(self, chunk: TokenChunk) -> TokenChunk:
        """The chunk to pass on now, perhaps with text held back. The last one (with a finish reason) gives all back."""
        ...


TransformFactory: TypeAlias = Callable[[GenerationRequest, ModelInfo], Transform | None]


class Observer(Protocol):
    """Told of every finished call: metrics, access log, usage ledger."""

    def finished(self, call: Call) -> None:
        """Synchronous and quick; an exception is logged and changes nothing."""
        ...


class AuthProvider(Protocol):
    """Turns credentials into a principal, or passes by returning None."""

    @property
    def name(self) -> str: ...

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """None: not mine to judge. Raises Unauthenticated or Forbidden to refuse outright."""
        ...


class Command(Protocol):
    """A sub-command of ``hyperllama-gateway``."""

    @property
    def command(self) -> click.Command: ...


__all__ = (
    "AuthProvider",
    "Call",
    "CallNext",
    "Command",
    "Gate",
    "Observer",
    "Outcome",
    "Stage",
    "Transform",
    "TransformFactory",
)
