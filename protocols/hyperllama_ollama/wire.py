"""Ollama's requests, field for field, after reading: null is absent, durations are seconds, images are bytes."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

Level: TypeAlias = Literal["low", "medium", "high", "max"]
Think: TypeAlias = bool | Level


class ErrorText(msgspec.Struct, frozen=True):
    """The body of every refusal."""

    error: str


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """The base of requests. Empty strings stand for nothing sent, as in Go; None where Ollama tells the two apart."""

    model: str = ""


class ToolCallFunction(msgspec.Struct, frozen=True, kw_only=True):
    index: int | None = None
    name: str = ""
    arguments: dict[str, Any] = {}


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    id: str = ""
    function: ToolCallFunction = ToolCallFunction()


class Message(msgspec.Struct, frozen=True, kw_only=True):
    role: str = ""
    content: str = ""
    thinking: str = ""
    images: tuple[bytes, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


class ToolFunction(msgspec.Struct, frozen=True, kw_only=True):
    name: str = ""
    description: str = ""
    parameters: dict[str, Any] = {}


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    type: str = ""
    function: ToolFunction = ToolFunction()


class _Generation(_Request, frozen=True, kw_only=True):
    stream: bool | None = None
    format: Any = None
    keep_alive: float | None = None
    options: dict[str, Any] = {}
    think: Think | None = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = msgspec.field(default=False, name="_debug_render_only")


class GenerateRequest(_Generation, frozen=True, kw_only=True):
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: tuple[int, ...] = ()
    raw: bool = False
    images: tuple[bytes, ...] = ()


class ChatRequest(_Generation, frozen=True, kw_only=True):
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()


class EmbedRequest(_Request, frozen=True, kw_only=True):
    """``input`` is None for any type that Ollama refuses."""

    input: tuple[str, ...] | None = ()
    truncate: bool | None = None
    dimensions: int = 0
    keep_alive: float | None = None
    options: dict[str, Any] = {}


class EmbeddingRequest(_Request, frozen=True, kw_only=True):
    prompt: str = ""
    keep_alive: float | None = None
    options: dict[str, Any] = {}


class ShowRequest(_Request, frozen=True, kw_only=True):
    name: str = ""
    verbose: bool = False
    system: str = ""
    options: dict[str, Any] = {}

    @property
    def target(self) -> str:
        return self.model or self.name


class DeleteRequest(_Request, frozen=True, kw_only=True):
    name: str = ""

    @property
    def target(self) -> str:
        return self.model or self.name


class TransferRequest(_Request, frozen=True, kw_only=True):
    """A pull or a push."""

    name: str = ""
    insecure: bool = False
    stream: bool | None = None

    @property
    def target(self) -> str:
        return self.model or self.name


class RunningQuery(msgspec.Struct, frozen=True):
    """Ollama ignores queries, so this is ours: ``progress``, of whatever value."""

    progress: str | None = None


class CopyRequest(msgspec.Struct, frozen=True, kw_only=True):
    source: str = ""
    destination: str = ""


class CreateRequest(_Request, frozen=True, kw_only=True):
    name: str = ""
    stream: bool | None = None
    from_: str = msgspec.field(default="", name="from")
    files: dict[str, str] = {}
    adapters: dict[str, str] = {}
    draft_files: dict[str, str] = {}
    draft_quantize: str = ""
    template: str = ""
    license: tuple[str, ...] = ()
    system: str = ""
    parameters: dict[str, Any] | None = None  # None: those of the base stay
    messages: tuple[Message, ...] = ()
    quantize: str = ""
    quantization: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    info: dict[str, Any] = {}

    @property
    def target(self) -> str:
        return self.model or self.name


__all__ = (
    "ChatRequest",
    "CopyRequest",
    "CreateRequest",
    "DeleteRequest",
    "EmbedRequest",
    "EmbeddingRequest",
    "ErrorText",
    "GenerateRequest",
    "Level",
    "Message",
    "RunningQuery",
    "ShowRequest",
    "Think",
    "Tool",
    "ToolCall",
    "ToolCallFunction",
    "ToolFunction",
    "TransferRequest",
)
