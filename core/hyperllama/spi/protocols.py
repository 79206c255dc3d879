"""Dialects of HTTP, and the gateway as they see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import GatewayError
from hyperllama.generation import Effort, GenerationRequest, TokenChunk, ToolSpec
from hyperllama.identity import Caller, Principal
from hyperllama.messages import Input
from hyperllama.models import ModelInfo, RunningModel
from hyperllama.spi.modelstore import ModelStore
from hyperllama.spi.storage import Batches, Files, Records
from hyperllama.stream import TokenStream

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler


class Gateway(Protocol):
    """The core as a protocol's route handlers see it. Takes names as clients write them.

    Every method that takes a name raises ModelNotFound, also for a model that the caller may not use.
    """

    @property
    def records(self) -> Records:
        """Records that protocols keep for their callers."""
        ...

    @property
    def files(self) -> Files:
        """Files that callers uploaded, and the results of their batches."""
        ...

    @property
    def batches(self) -> Batches: ...

    @property
    def model_store(self) -> ModelStore:
        """Models on disk. Raises UnsupportedFeature where the gateway keeps none."""
        ...

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        """Return every model the caller may use, newest first."""
        ...

    def model(self, name: str, principal: Principal) -> ModelInfo: ...

    def running(self, principal: Principal) -> Sequence[RunningModel]: ...

    async def generate(self, request: GenerationRequest, caller: Caller) -> TokenStream:
        """Admit, load if need be, submit. Raises any refusal; the returned stream must be closed."""
        ...

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Embeddings: ...

    async def load(self, name: str, caller: Caller, *, keep_alive: float | None = None) -> int:
        """Load the model, and return the nanoseconds that took. ``keep_alive`` as in GenerationRequest."""
        ...

    async def unload(self, name: str, caller: Caller) -> None:
        """Let running requests finish, then free the memory. Does nothing for a model that is not loaded."""
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
        """Return the prompt of a generation of ``input`` with these ``tools`` and this ``reasoning``, as token ids."""
        ...

    async def detokenize(self, name: str, ids: Sequence[int], caller: Caller) -> str: ...

    async def token_texts(self, name: str, ids: Sequence[int], caller: Caller) -> tuple[str, ...]:
        """Return the text of each token by itself: one request, however many tokens."""
        ...


class ChunkEncoder(Protocol):
    """Encodes one streamed answer in one protocol. Pure: chunks in, bytes out.

    ``index`` numbers the generations of one request (``n > 1``, several prompts).
    """

    @property
    def media_type(self) -> str: ...

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        """Encode ``chunks``, which are ready together, in one piece. May be empty."""
        ...

    def end(self) -> bytes:
        """Encode the end of the answer, after the last chunk of the last generation."""
        ...

    def failure(self, error: GatewayError) -> bytes:
        """Encode the error, for when the status line has already been sent; nothing follows it."""
        ...


class ErrorReply(msgspec.Struct, frozen=True):
    """An error as one protocol encodes it."""

    status: int
    body: bytes
    media_type: str
    headers: dict[str, str] = {}


class WireProtocol(Protocol):
    """A dialect of HTTP that clients speak: its routes and its errors.

    Every route handler carries ``opt=hyperllama.web.route(permission=...)`` (an ``identity.Permission`` or "public");
    one without is refused at start-up.
    """

    @property
    def name(self) -> str: ...

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Paths beneath which unknown routes are answered in this dialect. ``"/"`` takes all others."""
        ...

    @property
    def routes(self) -> Sequence[ControllerRouterHandler]: ...

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply: ...


@runtime_checkable
class DescribesErrors(Protocol):
    """A WireProtocol that gives the types of its error bodies, for the OpenAPI document."""

    @property
    def error_bodies(self) -> Sequence[type[msgspec.Struct]]:
        """The types that ``error_reply`` encodes: no body is two of them."""
        ...


@runtime_checkable
class OverridesErrors(Protocol):
    """A WireProtocol that answers some errors on the paths of every dialect, since its clients call those paths too."""

    @property
    def overridden_errors(self) -> Sequence[GatewayError]:
        """One example of each error that ``override_reply`` answers, for the OpenAPI document."""
        ...

    def override_reply(self, error: GatewayError, path: str) -> ErrorReply | None:
        """Return the answer to ``error`` at any ``path``; None leaves it to the path's dialect. Pure."""
        ...


@runtime_checkable
class AllowsOrigins(Protocol):
    """A WireProtocol whose clients are web pages that may call without being configured."""

    @property
    def origins(self) -> Sequence[str]:
        """Origins in the grammar of ``server.cors_origins``: one ``*`` each, for a port or a name."""
        ...


@runtime_checkable
class SharesPaths(Protocol):
    """A WireProtocol whose clients call paths of another dialect, too, and send a header by which they are known."""

    @property
    def known_by(self) -> str:
        """The name of the header, in lower case."""
        ...

    @property
    def shared_paths(self) -> Mapping[str, str]:
        """The shared paths, each with the path of a route of this protocol that stands for it and all beneath."""
        ...


__all__ = (
    "AllowsOrigins",
    "ChunkEncoder",
    "DescribesErrors",
    "ErrorReply",
    "Gateway",
    "OverridesErrors",
    "SharesPaths",
    "WireProtocol",
)
