"""POST /v1/chat/completions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from hyperllama.web import Countable
from hyperllama_openai.wire import counted, limits
from hyperllama_openai.wire.shared import SamplingFields, Usage

# --- request ---------------------------------------------------------------------------------------------------------


class ImageUrl(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    detail: str | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ContentPart(msgspec.Struct, frozen=True, kw_only=True):
    """Every kind of part in one Struct: ``type`` says which fields count."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | ImageUrl | None = None  # some clients send the bare string
    file: File | None = None


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    arguments: str | dict[str, Any] | None = None  # an object is what some clients send


class CustomCall(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    input: str | None = None


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None
    custom: CustomCall | None = None
    index: int | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None  # before tools; read in a history, never written
    reasoning_content: str | None = None
    reasoning: str | None = None


class Function(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Custom(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    description: str | None = None
    format: dict[str, Any] | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    function: Function | None = None
    custom: Custom | None = None


class ToolName(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class AllowedTool(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    function: ToolName | None = None
    custom: ToolName | None = None


class AllowedTools(msgspec.Struct, frozen=True, kw_only=True):
    mode: str
    tools: list[AllowedTool]


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    function: ToolName | None = None
    custom: ToolName | None = None
    allowed_tools: AllowedTools | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True):
    """OpenRouter's ``reasoning``."""

    effort: str | None = None
    enabled: bool | None = None
    exclude: bool | None = None
    max_tokens: int | None = None


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    type: str | None = None


Scalar: TypeAlias = bool | int | float | str | None


class ChatRequest(SamplingFields, frozen=True, kw_only=True):
    countable: ClassVar[Countable] = {
        **counted.SAMPLING,
        **counted.MESSAGES,
        "tool_choice.allowed_tools.tools": "tools",
        "modalities": "choices",
    }
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: limits.TokenCount | None = None
    max_tokens: limits.TokenCount | None = None
    logprobs: bool | None = None
    top_logprobs: limits.TopLogprobs | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None
    # Other servers'
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    include_reasoning: bool | None = None
    chat_template_kwargs: dict[str, Scalar] | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    # Accepted and without effect
    verbosity: str | None = None
    prediction: Any = None
    web_search_options: Any = None
    separate_reasoning: bool | None = None
    stream_reasoning: bool | None = None
    # Known, and refused
    audio: Any = None
    functions: Any = None
    function_call: Any = None
    chat_template: Any = None
    documents: Any = None
    echo: bool | None = None


# --- answer ----------------------------------------------------------------------------------------------------------


class TopLogprob(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class Logprobs(msgspec.Struct, frozen=True):
    content: list[TokenLogprob]
    refusal: None = None


class FunctionOut(msgspec.Struct, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    arguments: str = ""


class CustomOut(msgspec.Struct, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    input: str = ""


class ToolCallOut(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    function: FunctionOut | UnsetType = UNSET
    custom: CustomOut | UnsetType = UNSET


class MessageOut(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    content: str | None
    refusal: None = None
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    tool_calls: list[ToolCallOut] | UnsetType = UNSET


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    message: MessageOut
    logprobs: Logprobs | None
    finish_reason: str
    stop_reason: str | UnsetType = UNSET  # vLLM's: the stop string that was met
    token_ids: list[int] | UnsetType = UNSET  # vLLM's, when return_token_ids


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str | None = None
    prompt_token_ids: list[int] | UnsetType = UNSET


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: FunctionOut | UnsetType = UNSET
    custom: CustomOut | UnsetType = UNSET


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType = UNSET
    refusal: UnsetType | None = UNSET


class ChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: str | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET


__all__ = (
    "AllowedTool",
    "AllowedTools",
    "ChatCompletion",
    "ChatRequest",
    "Choice",
    "ChunkChoice",
    "ContentPart",
    "Custom",
    "CustomCall",
    "CustomOut",
    "Delta",
    "File",
    "Function",
    "FunctionCall",
    "FunctionOut",
    "ImageUrl",
    "Logprobs",
    "Message",
    "MessageOut",
    "Reasoning",
    "Scalar",
    "Thinking",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallOut",
    "ToolChoice",
    "ToolName",
    "TopLogprob",
)
