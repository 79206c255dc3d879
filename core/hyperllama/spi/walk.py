"""The walk of a request: gates, stages, transforms and observers, and the providers that authenticate its caller."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import msgspec
import structlog

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
Auxiliary: TypeAlias = Literal["tokenize", "detokenize", "load", "unload"]

log = structlog.get_logger(__name__)


class AuxiliaryWork(msgspec.Struct, frozen=True):
    """Work on a model that makes neither tokens nor vectors. Gates and observers see it, stages do not."""

    model: str
    kind: Auxiliary


class Call(msgspec.Struct, kw_only=True):
    """One piece of work on its way through the pipeline. The only mutable value.

    Times are ``time.perf_counter_ns()``; 0: not there yet. A call is a generation, an embedding or auxiliary work: test
    the type of ``request`` before you read its fields.
    """

    caller: Caller
    request: GenerationRequest | EmbeddingRequest | AuxiliaryWork
    info: ModelInfo
    model: LoadedModel | None = None  # None: not loaded yet
    started: int = msgspec.field(default_factory=time.perf_counter_ns)
    admitted: int = 0  # gates passed
    loaded: int = 0  # model in memory
    submitted: int = 0  # accepted by the engine
    first: int = 0  # first chunk
    last: int = 0  # last chunk
    requests: int = 1  # that limits count; 0: another call of the same HTTP request is counted for both
    tokens: int = 0
    usage: Usage | None = None  # set by the last chunk
    outcome: Outcome | None = None  # set once, before ``on_finish`` runs
    error: GatewayError | None = None
    truncated: int = 0  # messages, or inputs to embed, that lost something so that they fit the context
    estimate: int = 0  # prompt tokens, estimated from the text by the first gate that needs it; 0: not estimated
    lane: str = ""  # name of the queue of the model's process; "": the model's own
    headers: dict[str, str] = {}  # of the answer: allowances, set by gates
    on_finish: list[Callable[[Call], Awaitable[None]]] = []

    @property
    def charged(self) -> int:
        """The requests that count once the call has ended: none for one that was refused before the engine had it.

        A request that the engine itself refuses counts, since it cost work; one it had no capacity for does not.
        """
        if self.outcome != "refused":
            return self.requests
        judged = self.loaded and self.error is not None and self.error.status < 500
        return self.requests if judged else 0

    async def finish(self) -> None:
        """Run the callbacks of ``on_finish``, newest first, each once.

        One that raises is logged and stops no other. A cancellation is raised after the last of them has run.
        """
        interruption: BaseException | None = None
        while self.on_finish:
            callback = self.on_finish.pop()
            try:
                await callback(self)
            except Exception as error:  # noqa: BLE001 - it may not keep the others from giving back what they hold
                name = getattr(callback, "__qualname__", type(callback).__name__)
                log.error("a callback of on_finish failed", callback=name, reason=repr(error)[:500])
            except BaseException as error:  # noqa: BLE001 - the others give back what they hold first
                interruption = error
        if interruption is not None:
            raise interruption


class Gate(Protocol):
    """Admits, delays or refuses calls: limits, quotas, the queue. Every call passes the gates, by ``order``.

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
        """Return the chunk to pass on now, perhaps with text held back. All of it with the last chunk."""
        ...


TransformFactory: TypeAlias = Callable[[GenerationRequest, ModelInfo], Transform | None]


class Observer(Protocol):
    """Notified of every finished call: metrics, access log, usage ledger."""

    def finished(self, call: Call) -> None:
        """Record the call, quickly; an exception is logged and changes nothing."""
        ...


class AuthProvider(Protocol):
    """Turns credentials into a principal, or passes by returning None."""

    @property
    def name(self) -> str: ...

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the principal; None: not this provider's credentials. Raises Unauthenticated or Forbidden."""
        ...


class Command(Protocol):
    """A sub-command of ``hyperllama-gateway``."""

    @property
    def command(self) -> click.Command: ...


__all__ = (
    "AuthProvider",
    "Auxiliary",
    "AuxiliaryWork",
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
