"""A Messages request as one generation. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import (
    AnyJson,
    Effort,
    GenerationRequest,
    JsonSchema,
    OutputFormat,
    Sampling,
    ToolSpec,
)
from hyperllama.messages import Chat, Image
from hyperllama.models import ModelInfo
from hyperllama.web import shown_images
from hyperllama_anthropic import wire
from hyperllama_anthropic.decode.conversation import conversation as read_turns
from hyperllama_anthropic.decode.tools import choice as chosen
from hyperllama_anthropic.decode.tools import tools
from hyperllama_anthropic.errors import invalid

_EFFORTS: dict[str, Effort] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "max", "max": "max"}
_LEAST_TOP_P = 1e-6


def message(request: wire.MessagesRequest, info: ModelInfo) -> GenerationRequest:
    """Return the generation. Raise InvalidRequest with the field at fault."""
    specs = tools(request)
    choice = request.tool_choice
    conversation = chat(request, info)
    _check(conversation, specs, choice, info)
    return GenerationRequest(
        model=request.model,
        input=conversation,
        sampling=Sampling(
            temperature=request.temperature,
            top_p=None if request.top_p is None else max(request.top_p, _LEAST_TOP_P),
            top_k=request.top_k,
            max_tokens=request.max_tokens,
            stop=_stop(request.stop_sequences),
        ),
        tools=specs,
        tool_choice=chosen(choice, specs),
        parallel_tool_calls=choice is None or not choice.disable_parallel_tool_use,
        output=_output(request),
        reasoning=reasoning(request, info),
    )


def prompt(request: wire.PromptFields, info: ModelInfo) -> tuple[Chat, tuple[ToolSpec, ...], bool | Effort | None]:
    """Return what the model would see: conversation, tools, effort. Raise InvalidRequest with the field at fault."""
    return chat(request, info), tools(request), reasoning(request, info)


def chat(request: wire.PromptFields, info: ModelInfo) -> Chat:
    """Return the conversation as a model such as ``info`` can take it. Raise InvalidRequest with the field at fault."""
    if request.mcp_servers:
        raise UnsupportedFeature("mcp_servers: not supported by this server", param="mcp_servers")
    found = read_turns(request.messages, request.system)
    return msgspec.structs.replace(found, messages=shown_images(found.messages, info))


def _check(conversation: Chat, specs: Sequence[ToolSpec], choice: wire.ToolChoice | None, info: ModelInfo) -> None:
    """Raise UnsupportedFeature for what the model cannot do.

    A model whose files are not here yet is not judged: its engine will.
    """
    if not info.context_length:
        return
    if not info.capabilities & {"completion", "chat"}:
        raise UnsupportedFeature(f"model: {info.name} does not generate text", param="model")
    if specs and "tools" not in info.capabilities and (choice is None or choice.type != "none"):
        raise UnsupportedFeature(f"tools: {info.name} does not support tools", param="tools")
    images = any(isinstance(part, Image) for message in conversation.messages for part in message.parts)
    if images and "vision" not in info.capabilities:
        raise UnsupportedFeature(f"messages: {info.name} does not support images", param="messages")


def _stop(found: Sequence[str] | None) -> tuple[str, ...] | None:
    stops = tuple(text for text in found or () if text)
    if len(stops) > wire.MAX_STOPS or any(len(text.encode()) > wire.MAX_STOP_BYTES for text in stops):
        raise invalid("stop_sequences", f"at most {wire.MAX_STOPS} of at most {wire.MAX_STOP_BYTES} bytes each")
    return stops or None


def _output(request: wire.MessagesRequest) -> OutputFormat | None:
    config = request.output_config
    form = (config.format if config else None) or request.output_format
    if form is None:
        return None
    if form.type != "json_schema":
        raise invalid("output_config.format.type", "expected 'json_schema'")
    if not form.schema:
        return AnyJson()
    if len(msgspec.json.encode(form.schema)) > wire.MAX_SCHEMA_BYTES:
        raise invalid("output_config.format.schema", f"over {wire.MAX_SCHEMA_BYTES // 1024} KiB")
    return JsonSchema(form.schema)


def reasoning(request: wire.PromptFields, info: ModelInfo) -> bool | Effort | None:
    """Return the effort: off unless the request turns it on, as in this API; None for a model that cannot think."""
    asked = _asked(request)
    return asked if "thinking" in info.capabilities else None


def _asked(request: wire.PromptFields) -> bool | Effort:
    thinking = request.thinking
    if thinking is None or thinking.type == "disabled":
        return False
    if thinking.type not in ("enabled", "adaptive"):
        raise invalid("thinking.type", "expected 'enabled', 'disabled' or 'adaptive'")
    effort = request.output_config.effort if request.output_config else None
    if effort is None:
        return True
    if effort not in _EFFORTS:
        raise invalid("output_config.effort", f"expected one of {', '.join(_EFFORTS)}")
    return _EFFORTS[effort]


__all__ = ("chat", "message", "prompt", "reasoning")
