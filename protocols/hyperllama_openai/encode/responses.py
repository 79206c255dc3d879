"""The response object around its output: the request's fields are echoed, every key is present."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from hyperllama.errors import GatewayError
from hyperllama.generation import Usage
from hyperllama_openai.decode.response_tools import shown
from hyperllama_openai.errors import envelope
from hyperllama_openai.wire import response as wire
from hyperllama_openai.wire.responses import ResponsesRequest, Tool, ToolChoice

_UNTYPED = ("local_shell", "namespace", "tool_search")  # no choice among those of OpenAI's API


def response(
    request: ResponsesRequest,
    *,
    id: str,
    created: int,
    status: str,
    output: Sequence[wire.OutputItem] = (),
    usage: Usage | None = None,
    incomplete: str | None = None,
    error: GatewayError | None = None,
    completed: int | None = None,
) -> wire.Response:
    """Return the response. ``incomplete`` is the reason why an answer was cut short."""
    reasoning = request.reasoning
    form = request.text.format if request.text else None
    return wire.Response(
        id=id,
        created_at=created,
        status=status,
        completed_at=completed,
        error=None if error is None else _error(error),
        incomplete_details=None if incomplete is None else wire.IncompleteDetails(reason=incomplete),
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=request.max_tool_calls,
        model=request.model,
        output=list(output),
        parallel_tool_calls=request.parallel_tool_calls is not False,
        previous_response_id=request.previous_response_id,
        reasoning=wire.ReasoningEcho(
            effort=reasoning.effort if reasoning else None, summary=_summary(request) if reasoning else None
        ),
        store=request.store is not False,
        background=bool(request.background),
        temperature=request.temperature,
        text={"format": form or {"type": "text"}, "verbosity": (request.text and request.text.verbosity) or "medium"},
        tool_choice=_choice(request.tool_choice),
        tools=[_tool(tool) for tool in request.tools or () if shown(tool)],
        top_logprobs=request.top_logprobs or 0,
        top_p=request.top_p,
        truncation=request.truncation or "disabled",
        usage=None if usage is None else spell_usage(usage),
        user=request.user,
        metadata=request.metadata or {},
        safety_identifier=request.safety_identifier,
        prompt_cache_key=request.prompt_cache_key,
        frequency_penalty=request.frequency_penalty or 0,
        presence_penalty=request.presence_penalty or 0,
    )


def wants_summary(request: ResponsesRequest) -> bool:
    """Return whether thoughts go into the summary, the only place where some clients look for them."""
    return _summary(request) is not None


def _summary(request: ResponsesRequest) -> str | None:
    reasoning = request.reasoning
    return (reasoning.summary or reasoning.generate_summary) if reasoning else None


def _choice(choice: str | ToolChoice | None) -> str | ToolChoice:
    """Return the choice as it was made; one that typed clients cannot read as what it comes to."""
    if isinstance(choice, ToolChoice):
        return "required" if choice.type in _UNTYPED else choice
    return choice or "auto"


def _tool(tool: Tool) -> wire.FunctionTool | Tool:
    """Return a tool as it was offered, with the keys that clients want beside those that came."""
    match tool.type:
        case "function":
            return wire.FunctionTool(
                name=tool.name or "", description=tool.description, parameters=tool.parameters, strict=tool.strict
            )
        case "namespace":
            return replace(tool, description=tool.description or "")
    return tool


def spell_usage(usage: Usage) -> wire.Usage:
    return wire.Usage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=wire.InputTokensDetails(cached_tokens=usage.cached_tokens),
        output_tokens=usage.completion_tokens,
        output_tokens_details=wire.OutputTokensDetails(reasoning_tokens=usage.reasoning_tokens),
        total_tokens=usage.total_tokens,
    )


def _error(error: GatewayError) -> wire.ResponseError:
    body = envelope(error).error
    match error.status:
        case 429:
            code = "rate_limit_exceeded"
        case status if status < 500:
            code = "invalid_prompt"
        case _:
            code = "server_error"
    return wire.ResponseError(code=code, message=body.message)


__all__ = ("response", "spell_usage", "wants_summary")
