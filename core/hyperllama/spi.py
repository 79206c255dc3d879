"""What a plugin implements. Protocols only: nothing here runs.

A plugin hands these objects over at start-up, through the hooks in
``hyperllama.hookspecs``. From then on the gateway calls them directly; the
plugin manager is not on the request path.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import GatewayError
from hyperllama.generation import Effort, GenerationRequest, TokenChunk, ToolSpec, Usage
from hyperllama.identity import Caller, Credentials, Principal
from hyperllama.keeping import Batches, Files, Record, Records
from hyperllama.messages import Input
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec, RunningModel
from hyperllama.stream import TokenStream

if TYPE_CHECKING:
    import click
    from litestar.types import ControllerRouterHandler

Report: TypeAlias = Callable[[LoadProgress], None]
Outcome: TypeAlias = Literal["finished", "failed", "cancelled", "refused"]


# --- engines ---------------------------------------------------------------------------------------------------------


class LoadedModel(Protocol):
    """A model ready to generate. Made by an :class:`Engine`, owned by the catalog."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def failure(self) -> str | None:
        """Why it can no longer serve; None while it can. The catalog then closes it and loads it again."""
        ...

    def memory(self) -> tuple[int, int]:
        """Resident and accelerator bytes that unloading would give back."""
        ...

    async def generate(self, request: GenerationRequest) -> TokenStream:
        """Admit ``request``, then return its tokens.

        Awaiting submits the request: whatever can be refused is refused here,
        while the client can still be sent a status code. Closing the returned
        stream, started or not, cancels the work.
        """
        ...

    def watch(self, on_failure: Callable[[str], None]) -> None:
        """Call ``on_failure`` on the event loop once, at the moment ``failure`` is set."""
        ...

    async def close(self) -> None:
        """Give everything back: processes ended and memory freed when this returns. Running streams fail."""
        ...


@runtime_checkable
class GeneratesBatches(Protocol):
    """A loaded model that runs whole batches and admits nothing to one that is running. The core gathers them."""

    async def generate_batch(self, requests: Sequence[GenerationRequest]) -> Sequence[TokenStream]:
        """Admit them together: a stream each, in order. At most ``info.max_batch_size``, and no batch beside another.

        The batch is over when every stream is closed; closing one ends that answer alone. Raises InvalidRequest when a
        request is at fault: then each is sent by itself, so that its own client hears of it. ``generate`` is a batch
        of one.
        """
        ...


@runtime_checkable
class Embeds(Protocol):
    """A loaded model that makes vectors."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector per input, in order. Raises ContextTooLong when an input is too long and not to be cut."""
        ...


@runtime_checkable
class Tokenizes(Protocol):
    """A loaded model that shows its tokenizer."""

    async def tokenize(
        self, input: Input, *, tools: Sequence[ToolSpec] = (), reasoning: bool | Effort | None = None
    ) -> tuple[int, ...]:
        """The token ids the engine would see, chat template applied: with ``tools`` offered, and told how to think."""
        ...

    async def detokenize(self, ids: Sequence[int]) -> str: ...


@runtime_checkable
class Beats(Protocol):
    """A loaded model that works in a process of its own."""

    def silent_for(self) -> float:
        """Seconds since its last sign of life; 0 when none is expected."""
        ...


class Engine(Protocol):
    """Something that can load models: MAX on this machine, a synthetic one, a remote one."""

    @property
    def name(self) -> str: ...

    def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
        """What the model is, read from its files without loading it. Runs in a thread; reads files, nothing else.

        ``path`` is where its source says the files are; None: the source has none yet or needs none.
        Raises :class:`~hyperllama.errors.ConfigError` when it could never be loaded as configured.
        """
        ...

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> LoadedModel:
        """Load, reporting progress. Raises LoadFailed with all it started ended; cancelling stops it likewise."""
        ...


class ModelSource(Protocol):
    """Where models come from: ``scheme`` is the word before the colon in ``source = "builtin:hyperllama-tiny"``."""

    @property
    def scheme(self) -> str: ...

    def models(self) -> Sequence[ModelSpec]:
        """Models offered without a table in the config. A table of the same name replaces one."""
        ...

    def local(self, reference: str) -> Path | None:
        """Where the files are now; None: not on this machine yet. Reads directories, nothing else. Runs in a thread.

        Raises :class:`~hyperllama.errors.ConfigError` when ``reference`` can never be found.
        """
        ...

    async def fetch(self, reference: str, report: Report) -> Path:
        """Bring the files here if they are not, checked. Called before every load. Raises LoadFailed."""
        ...


# --- the walk --------------------------------------------------------------------------------------------------------


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
    left_out: int = 0  # messages, or inputs to embed, that lost something so that they fit the context
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


Proceed: TypeAlias = Callable[[Call], Awaitable[TokenStream]]


class Stage(Protocol):
    """A step around generation that may change the request or see the stream: caching, rewriting, translation.

    Refuse by raising before ``proceed``. Return its stream untouched unless every token must be seen.
    """

    @property
    def order(self) -> int: ...

    async def __call__(self, call: Call, proceed: Proceed) -> TokenStream: ...


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


# --- protocols -------------------------------------------------------------------------------------------------------


class Gateway(Protocol):
    """What a protocol's route handlers may ask of the core. Names are resolved as clients write them.

    Every method that takes a name raises ModelNotFound when the caller may not use it, too.
    """

    @property
    def records(self) -> Records:
        """What the protocol keeps for its callers."""
        ...

    @property
    def files(self) -> Files:
        """Files that callers left, and those that batches made for them."""
        ...

    @property
    def batches(self) -> Batches: ...

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        """Every model the caller may use, newest first."""
        ...

    def model(self, name: str, principal: Principal) -> ModelInfo: ...

    def running(self, principal: Principal) -> Sequence[RunningModel]: ...

    async def generate(self, request: GenerationRequest, caller: Caller) -> TokenStream:
        """Admit, load if need be, submit. Raises whatever refuses it; a stream that is returned must be closed."""
        ...

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Embeddings: ...

    async def load(self, name: str, caller: Caller, *, keep_alive: float | None = None) -> int:
        """Have the model in memory; nanoseconds that took. ``keep_alive`` as in GenerationRequest."""
        ...

    async def unload(self, name: str, caller: Caller) -> None:
        """Let running requests finish, then give the memory back. Not loaded: nothing happens."""
        ...

    async def tokenize(
        self,
        name: str,
        input: Input,
        caller: Caller,
        *,
        tools: Sequence[ToolSpec] = (),
        reasoning: bool | Effort | None = None,
    ) -> tuple[int, ...]:
        """What a generation of ``input`` with these ``tools`` and this ``reasoning`` has as its prompt."""
        ...

    async def detokenize(self, name: str, ids: Sequence[int], caller: Caller) -> str: ...


class ChunkEncoder(Protocol):
    """Spells one streamed answer in one protocol. Pure: chunks in, bytes out.

    ``index`` numbers the generations of one request (``n > 1``, several prompts).
    """

    @property
    def media_type(self) -> str: ...

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        """Everything that is ready together, in one piece. May be empty."""
        ...

    def end(self) -> bytes:
        """After the last chunk of the last generation."""
        ...

    def failure(self, error: GatewayError) -> bytes:
        """The error, for when the status line has already been sent; nothing follows it."""
        ...


class ErrorReply(msgspec.Struct, frozen=True):
    """An error as one protocol spells it."""

    status: int
    body: bytes
    media_type: str
    headers: dict[str, str] = {}


class ErrorText(msgspec.Struct, frozen=True):
    """An error as Ollama spells it; every dialect does so for what only ollama.com could do."""

    error: str


class WireProtocol(Protocol):
    """A dialect of HTTP that clients speak: its routes and its errors.

    Every route handler carries ``opt={"permission": ...}`` (``hyperllama.identity.Permission`` or ``"public"``);
    one without is refused at start-up.
    """

    @property
    def name(self) -> str: ...

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Paths beneath which unknown routes are answered in this dialect. ``"/"`` takes what nobody else does."""
        ...

    @property
    def routes(self) -> Sequence[ControllerRouterHandler]: ...

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply: ...


@runtime_checkable
class DescribesErrors(Protocol):
    """A WireProtocol that says what the bodies of its error replies are, for the OpenAPI document."""

    @property
    def error_bodies(self) -> Sequence[type[msgspec.Struct]]:
        """What ``error_reply`` encodes: no body is two of them."""
        ...


class Command(Protocol):
    """A sub-command of ``hyperllama-gateway``."""

    @property
    def command(self) -> click.Command: ...


__all__ = (
    "AuthProvider",
    "Beats",
    "Call",
    "ChunkEncoder",
    "Command",
    "DescribesErrors",
    "Embeds",
    "Engine",
    "ErrorReply",
    "ErrorText",
    "Gate",
    "Gateway",
    "GeneratesBatches",
    "LoadedModel",
    "ModelSource",
    "Observer",
    "Outcome",
    "Proceed",
    "Record",
    "Records",
    "Report",
    "Stage",
    "Tokenizes",
    "Transform",
    "TransformFactory",
    "WireProtocol",
)
