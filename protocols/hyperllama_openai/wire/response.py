"""The response object: what is answered, kept, and sent in events."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from hyperllama_openai.wire.chat import TokenLogprob


class OutputText(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "output_text"
    text: str
    annotations: tuple[()] = ()
    logprobs: list[TokenLogprob] = []


class OutputMessage(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str = "message"
    role: str = "assistant"
    status: str
    content: list[OutputText]


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str = "function_call"
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    arguments: str
    status: str


class CustomToolCall(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str = "custom_tool_call"
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    input: str
    status: str


class ClientCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of one of OpenAI's own tools that the client runs; each type has one of the fields that may be unset."""

    id: str
    type: str
    call_id: str
    action: dict[str, Any] | UnsetType = UNSET
    pending_safety_checks: list[Any] | UnsetType = UNSET
    operation: dict[str, Any] | UnsetType = UNSET
    arguments: Any = UNSET
    execution: str | UnsetType = UNSET
    status: str


class TypedText(msgspec.Struct, frozen=True, kw_only=True):
    """``reasoning_text`` or ``summary_text``."""

    type: str
    text: str


class Reasoning(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str = "reasoning"
    summary: list[TypedText]
    content: list[TypedText] | UnsetType = UNSET
    encrypted_content: str | None = None
    status: str


class Compaction(msgspec.Struct, frozen=True, kw_only=True):
    """A summary of what came before it, for the model only."""

    id: str
    type: str = "compaction"
    encrypted_content: str


OutputItem: TypeAlias = OutputMessage | FunctionCall | CustomToolCall | ClientCall | Reasoning | Compaction


class InputTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    cached_tokens: int
    cache_write_tokens: int = 0  # none is charged for


class OutputTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    reasoning_tokens: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseError(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class IncompleteDetails(msgspec.Struct, frozen=True, kw_only=True):
    reason: str


class FunctionTool(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "function"
    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


class ReasoningEcho(msgspec.Struct, frozen=True, kw_only=True):
    effort: str | None
    summary: str | None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Every key, always: typed clients check the whole object. What was asked is echoed."""

    id: str
    object: str = "response"
    created_at: int
    status: str
    completed_at: int | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    model: str
    output: list[Any] = []  # OutputItem; as found in the store when read back
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: ReasoningEcho
    store: bool
    background: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: Any
    tools: list[Any]  # FunctionTool, or another kind as it was offered
    top_logprobs: int
    top_p: float | None
    truncation: str
    usage: Usage | None = None
    user: str | None
    metadata: dict[str, str]
    safety_identifier: str | None
    prompt_cache_key: str | None
    service_tier: str = "default"
    frequency_penalty: float = 0
    presence_penalty: float = 0


class CompactedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The user's messages, then the summary of everything."""

    id: str
    object: str = "response.compaction"
    created_at: int
    output: list[Any]  # Item, then Compaction
    usage: Usage


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "response"
    deleted: bool = True


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: list[Any]
    first_id: str | None
    last_id: str | None
    has_more: bool


class InputTokens(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "response.input_tokens"
    input_tokens: int


__all__ = (
    "ClientCall",
    "CompactedResponse",
    "Compaction",
    "CustomToolCall",
    "Deleted",
    "FunctionCall",
    "FunctionTool",
    "IncompleteDetails",
    "InputTokens",
    "InputTokensDetails",
    "ItemList",
    "OutputItem",
    "OutputMessage",
    "OutputText",
    "OutputTokensDetails",
    "Reasoning",
    "ReasoningEcho",
    "Response",
    "ResponseError",
    "TypedText",
    "Usage",
)
