"""POST /v1/responses: the request."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from hyperllama.web import Countable
from hyperllama_openai.wire import counted, limits
from hyperllama_openai.wire.chat import ImageUrl, Scalar


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every kind of content part in one Struct: ``type`` says which fields count; the outputs of a shell have none."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | ImageUrl | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    outcome: dict[str, Any] | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every kind of input item in one Struct; a missing ``type`` with a ``role`` is a message."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    status: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | dict[str, Any] | None = None
    input: str | None = None
    output: str | list[Part] | dict[str, Any] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    # Of tools that clients run
    action: dict[str, Any] | None = None
    actions: list[dict[str, Any]] | None = None
    pending_safety_checks: list[Any] | None = None
    operation: dict[str, Any] | None = None
    execution: str | None = None
    tools: list[Any] | None = None
    # Of tools that run elsewhere
    queries: list[Any] | None = None
    results: list[Any] | None = None
    code: str | None = None
    container_id: str | None = None
    outputs: list[Any] | None = None
    result: str | None = None
    server_label: str | None = None
    error: Any = None
    approval_request_id: str | None = None
    approve: bool | None = None
    reason: str | None = None


class Format(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Flat, unlike chat's ``response_format``."""

    type: str
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | bool | None = None
    strict: bool | None = None


class TextOptions(msgspec.Struct, frozen=True, kw_only=True):
    format: Format | None = None
    verbosity: str | None = None


class ReasoningOptions(msgspec.Struct, frozen=True, kw_only=True):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every kind of tool in one Struct, flat, unlike chat's: the function's fields stand beside ``type``."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] | None = None  # of a custom tool's input
    tools: list[Tool] | None = None  # of a namespace
    execution: str | None = None  # of a search for tools: "client" or "server"
    environment: str | dict[str, Any] | None = None
    display_width: int | None = None
    display_height: int | None = None


class AllowedTool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    name: str | None = None
    namespace: str | None = None


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list[AllowedTool] | None = None


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    include_obfuscation: bool | None = None


_INPUT: Countable = {
    "input": "messages",
    "input.type": "name_bytes",
    "input.id": "name_bytes",
    "input.role": "name_bytes",
    "input.status": "name_bytes",
    "input.call_id": "name_bytes",
    "input.name": "name_bytes",
    "input.namespace": "name_bytes",
    "input.content": "parts",
    "input.content.type": "name_bytes",
    "input.output": "parts",
    "input.summary": "parts",
    "input.encrypted_content": "opaque_bytes",
    "input.tools": "tools",
    "input.tools.tools": "tools",
    "prompt_cache_key": "name_bytes",
}


class ConversationFields(msgspec.Struct, frozen=True, kw_only=True):
    """The model and what it reads: the same wherever a conversation is sent."""

    model: str
    input: str | list[Item] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    keep_alive: float | str | None = None


class CompactRequest(ConversationFields, frozen=True, kw_only=True):
    """POST /v1/responses/compact."""

    countable: ClassVar[Countable] = _INPUT
    # Accepted and without effect
    image: Any = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Any = None


class ContextManagement(msgspec.Struct, frozen=True, kw_only=True):
    """``compact_threshold``: tokens of the conversation over which it is summarized before the answer."""

    type: str
    compact_threshold: limits.TokenCount | None = None


class ResponsesRequest(ConversationFields, frozen=True, kw_only=True):
    countable: ClassVar[Countable] = {
        **counted.SAMPLING,
        **_INPUT,
        "tools": "tools",
        "tools.tools": "tools",
        "tool_choice.tools": "tools",
        "include": "choices",
        "context_management": "choices",
        "metadata": "choices",
        "user": "name_bytes",
        "safety_identifier": "name_bytes",
    }
    store: bool | None = None  # absent: yes
    background: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: limits.TokenCount | None = None
    max_tool_calls: int | None = None
    temperature: limits.Temperature | None = None
    top_p: limits.Probability | None = None
    top_logprobs: limits.TopLogprobs | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    truncation: str | None = None
    user: str | None = None
    context_management: list[ContextManagement] | None = None
    # Other servers'
    top_k: limits.TopK | None = None
    min_p: limits.Probability | None = None
    repetition_penalty: limits.Repetition | None = None
    presence_penalty: limits.Penalty | None = None
    frequency_penalty: limits.Penalty | None = None
    seed: limits.Seed | None = None
    stop: str | list[str] | None = None
    chat_template_kwargs: dict[str, Scalar] | None = None
    # Accepted and without effect
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Any = None
    moderation: Any = None
    # Known, and refused
    conversation: Any = None
    prompt: Any = None


class ReplayQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``starting_after``: the number of the last event that was seen; null: none was."""

    stream: bool = False
    starting_after: Annotated[int, Meta(ge=0)] | None = None


class ItemsQuery(msgspec.Struct, frozen=True, kw_only=True):
    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"


__all__ = (
    "AllowedTool",
    "CompactRequest",
    "ContextManagement",
    "ConversationFields",
    "Format",
    "Item",
    "ItemsQuery",
    "Part",
    "ReasoningOptions",
    "ReplayQuery",
    "ResponsesRequest",
    "TextOptions",
    "Tool",
    "ToolChoice",
)
