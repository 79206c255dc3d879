"""Anthropic's JSON, field for field. Every optional field takes null for absent."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec
from msgspec import Meta

from hyperllama.web import Countable

MAX_STOPS = 16
MAX_STOP_BYTES = 256
MAX_SCHEMA_BYTES = 64 * 1024

Fraction: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
TokenCount: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]

# --- request ---------------------------------------------------------------------------------------------------------


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Of an image or a document: ``base64``, ``text``, ``url`` or ``file``."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: str | list[Any] | None = None  # of ``content``, which documents alone have


class InnerBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A block inside a tool's result."""

    type: str
    text: str | None = None
    source: Source | str | None = None  # a string: where a search result was found
    content: str | list[Any] | dict[str, Any] | None = None
    title: str | None = None
    url: str | None = None
    context: str | None = None
    tool_name: str | None = None


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Every kind of content block in one Struct: ``type`` says which fields count."""

    type: str
    text: str | None = None
    source: Source | str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    tool_use_id: str | None = None
    content: str | list[InnerBlock] | dict[str, Any] | None = None  # an object: of a tool that Anthropic's servers ran
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    title: str | None = None
    context: str | None = None


class InputMessage(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    content: str | list[Block]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    name: str | None = None
    type: str | None = None  # absent or "custom": a function of the caller's
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    display_width_px: int | None = None  # of a computer
    display_height_px: int | None = None


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    budget_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class Format(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    schema: dict[str, Any] | None = None


class OutputConfig(msgspec.Struct, frozen=True, kw_only=True):
    effort: str | None = None
    format: Format | None = None


class PromptFields(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that counting tokens and making a message have in common."""

    countable: ClassVar[Countable] = {
        "messages": "messages",
        "messages.role": "name_bytes",
        "messages.content": "parts",
        "messages.content.type": "name_bytes",
        "messages.content.id": "name_bytes",
        "messages.content.name": "name_bytes",
        "messages.content.tool_use_id": "name_bytes",
        "messages.content.content": "parts",
        "messages.content.content.type": "name_bytes",
        "messages.content.signature": "opaque_bytes",
        "messages.content.data": "opaque_bytes",
        "system": "parts",
        "tools": "tools",
        "stop_sequences": ("stops", "stop_bytes"),
        "betas": "choices",
        "mcp_servers": "choices",
    }

    model: str
    messages: Annotated[list[InputMessage], Meta(min_length=1)]
    system: str | list[InnerBlock] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None  # its name while it was in beta
    # Accepted and without effect
    cache_control: Any = None
    context_management: Any = None
    container: Any = None
    mcp_servers: list[Any] | None = None  # refused unless empty
    betas: list[str] | None = None


class MessagesRequest(PromptFields, frozen=True, kw_only=True):
    max_tokens: TokenCount
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Fraction | None = None
    top_p: Fraction | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    # Accepted and without effect
    metadata: Any = None
    service_tier: str | None = None
    inference_geo: str | None = None


class CountRequest(PromptFields, frozen=True, kw_only=True):
    """A request for a count may carry what only a message needs; it is ignored."""


# --- answer ----------------------------------------------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """``input_tokens`` leaves out those read from the cache."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int


class TextBlock(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    text: str


class ThinkingBlock(msgspec.Struct, frozen=True, kw_only=True, tag="thinking"):
    thinking: str
    signature: str


class ToolUseBlock(msgspec.Struct, frozen=True, kw_only=True, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]


OutputBlock: TypeAlias = TextBlock | ThinkingBlock | ToolUseBlock


class Message(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str = "message"
    role: str = "assistant"
    model: str
    content: list[OutputBlock]
    stop_reason: str | None
    stop_sequence: str | None
    usage: Usage


class Count(msgspec.Struct, frozen=True):
    input_tokens: int


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    message: str


class ErrorEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "error"
    error: ErrorBody


__all__ = (
    "Block",
    "Count",
    "CountRequest",
    "ErrorBody",
    "ErrorEnvelope",
    "Format",
    "InnerBlock",
    "InputMessage",
    "Message",
    "MessagesRequest",
    "OutputBlock",
    "PromptFields",
    "Source",
    "TextBlock",
    "Thinking",
    "ThinkingBlock",
    "Tool",
    "ToolChoice",
    "ToolUseBlock",
    "Usage",
)
