"""A Responses request as one generation: input items become messages."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.generation import GenerationRequest, OutputFormat
from hyperllama.messages import Chat, Message, Text
from hyperllama.models import ModelInfo
from hyperllama.web import shown_images as shown
from hyperllama_openai.decode import capabilities, formats, lengths, reasoning, response_tools, sampling
from hyperllama_openai.decode.choice import choose
from hyperllama_openai.decode.input_items import ItemReader
from hyperllama_openai.decode.messages import merged
from hyperllama_openai.decode.metadata import metadata
from hyperllama_openai.decode.toolbox import Toolbox
from hyperllama_openai.errors import InvalidValue, MissingParameter
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.responses import Item, ResponsesRequest
from hyperllama_openai.wire.shared import ResponseFormat, SamplingFields

LOGPROBS = "message.output_text.logprobs"


def responses(
    request: ResponsesRequest,
    context: Sequence[Item],
    info: ModelInfo,
    settings: Settings,
    box: Toolbox | None = None,
    *,
    owner: str = "",
) -> GenerationRequest:
    """Return the generation. ``context`` ends with the request's own input. Raise InvalidRequest.

    ``box``: the request's tools; None: they are read here. ``owner``: the caller, for summaries in ``context``.
    """
    refuse(request)
    box = response_tools.toolbox(request, context) if box is None else box
    specs, choice = choose(response_tools.chosen(request.tool_choice), box)
    effort = reasoning.effort(request.reasoning.effort, "reasoning.effort") if request.reasoning else None
    chat_input = conversation(request, context, settings, info, box, owner=owner)
    lengths.check(chat_input, info)
    generation = GenerationRequest(
        model=request.model,
        input=chat_input,
        sampling=sampling.sampling(
            SamplingFields(
                model=request.model,
                temperature=request.temperature,
                top_p=request.top_p,
                top_k=request.top_k,
                min_p=request.min_p,
                repetition_penalty=request.repetition_penalty,
                presence_penalty=request.presence_penalty,
                frequency_penalty=request.frequency_penalty,
                seed=request.seed,
                stop=request.stop,
            ),
            max_tokens=request.max_output_tokens,
            logprobs=(request.top_logprobs or 0) if LOGPROBS in (request.include or ()) else None,
            vocab_size=info.vocab_size,
        ),
        tools=specs,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls is not False,
        output=_output(request),
        reasoning=effort if "thinking" in info.capabilities else None,
        keep_alive=sampling.keep_alive(request.keep_alive),
    )
    capabilities.check(generation, info)
    return generation


def conversation(
    request: ResponsesRequest,
    context: Sequence[Item],
    settings: Settings,
    info: ModelInfo,
    box: Toolbox,
    *,
    owner: str = "",
) -> Chat:
    """Return the conversation. Raise InvalidRequest."""
    reader = ItemReader(box, owner)
    for index, item in enumerate(context):
        reader.add(item, f"input[{index}]")
    found = reader.result()
    if request.instructions:
        found = (Message(role="system", parts=(Text(request.instructions),)), *found)
    if not found:
        raise MissingParameter("Missing required parameter: 'input'.", param="input")
    seen = shown(found, info)
    return Chat(
        messages=merged(seen) if settings.merge_system else seen,
        template_kwargs=reasoning.template_kwargs(request.chat_template_kwargs, settings.template_kwargs),
    )


def _output(request: ResponsesRequest) -> OutputFormat | None:
    form = request.text.format if request.text else None
    if form is None:
        return None
    if form.type == "json_schema" and form.schema is None:
        raise MissingParameter("Missing required parameter: 'text.format.schema'.", param="text.format.schema")
    flat = SamplingFields(
        model="", response_format=ResponseFormat(type=form.type, schema=form.schema, strict=form.strict)
    )
    try:
        return formats.output(flat)
    except InvalidValue as error:
        raise type(error)(
            error.message.replace("response_format.", "text.format."),
            param=(error.param or "").replace("response_format", "text.format"),
        ) from error


def refuse(request: ResponsesRequest) -> None:
    """Raise InvalidRequest for fields that cannot be honoured."""
    sampling.refuse(("conversation", request.conversation), ("prompt", request.prompt))
    if request.background and request.store is False:
        raise InvalidValue("'background' needs 'store' to be true.", param="background")
    if request.truncation not in (None, "auto", "disabled"):
        raise InvalidValue("Invalid value for 'truncation': expected 'auto' or 'disabled'.", param="truncation")
    metadata(request.metadata)


__all__ = ("LOGPROBS", "conversation", "refuse", "responses")
