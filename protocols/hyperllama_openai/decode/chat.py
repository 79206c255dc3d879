"""A chat completion as generations: one per choice, alike but for their seeds."""

from __future__ import annotations

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import GenerationRequest
from hyperllama.messages import Chat
from hyperllama.models import ModelInfo
from hyperllama_openai.decode import capabilities, formats, lengths, reasoning, sampling, tools
from hyperllama_openai.decode.choice import choose
from hyperllama_openai.decode.messages import messages
from hyperllama_openai.decode.toolbox import Toolbox
from hyperllama_openai.errors import InvalidValue
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.chat import ChatRequest, Message, Scalar


def chat(
    request: ChatRequest, info: ModelInfo, settings: Settings, box: Toolbox | None = None
) -> tuple[GenerationRequest, ...]:
    """Return a generation for each choice. Raise InvalidRequest with the field at fault.

    ``box``: the request's tools; None: they are read here.
    """
    _refuse(request)
    sampling.check_stream_options(request)
    n = sampling.choices(request, max_n=min(settings.max_n, settings.max_choices))
    box = tools.tools(request.tools) if box is None else box
    specs, choice = choose(tools.chosen(request.tool_choice), box)
    base = GenerationRequest(
        model=request.model,
        input=conversation(
            request.messages,
            settings,
            info=info,
            continue_final=request.continue_final_message,
            add_prompt=request.add_generation_prompt,
            kwargs=request.chat_template_kwargs,
        ),
        tools=specs,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls is not False,
        output=formats.output(request),
        reasoning=reasoning.reasoning(request, info),
        keep_alive=sampling.keep_alive(request.keep_alive),
        return_token_ids=bool(request.return_token_ids),
        sampling=sampling.sampling(
            request,
            max_tokens=request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens,
            logprobs=_logprobs(request),
            vocab_size=info.vocab_size,
        ),
    )
    capabilities.check(base, info)
    lengths.check(base.input, info)
    return sampling.samples(base, n)


def conversation(
    found: list[Message],
    settings: Settings,
    *,
    info: ModelInfo | None = None,
    continue_final: bool | None,
    add_prompt: bool | None,
    kwargs: dict[str, Scalar] | None,
) -> Chat:
    read = messages(found, merge_system=settings.merge_system, info=info)
    if continue_final and add_prompt:
        raise InvalidValue(
            "'continue_final_message' and 'add_generation_prompt' cannot both be true.", param="continue_final_message"
        )
    if continue_final and read[-1].role != "assistant":
        raise InvalidValue(
            "'continue_final_message' needs a last message of the assistant.", param="continue_final_message"
        )
    return Chat(
        messages=read,
        continue_last=bool(continue_final),
        generation_prompt=add_prompt is not False,
        template_kwargs=reasoning.template_kwargs(kwargs, settings.template_kwargs),
    )


def _logprobs(request: ChatRequest) -> int | None:
    if not request.logprobs:
        if request.top_logprobs:
            raise InvalidValue("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
        return None
    return request.top_logprobs or 0


def _refuse(request: ChatRequest) -> None:
    sampling.refuse_shared(request)
    sampling.refuse(
        ("audio", request.audio),
        ("functions", request.functions),
        ("function_call", None if request.function_call in ("none", "auto") else request.function_call),
        ("chat_template", request.chat_template),
        ("documents", request.documents),
        ("echo", request.echo),
    )
    if any(modality != "text" for modality in request.modalities or ()):
        raise UnsupportedFeature("'modalities' other than 'text' are not supported by this server.", param="modalities")


__all__ = ("chat", "conversation")
