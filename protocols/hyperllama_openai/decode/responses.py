"""A Responses request as one generation: input items become messages."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import GenerationRequest, OutputFormat, ToolSpec
from hyperllama.messages import Chat, Message, Part, Text, ToolCall
from hyperllama.models import ModelInfo
from hyperllama.web import MAX_IMAGES
from hyperllama_openai.decode import capabilities, formats, lengths, reasoning, sampling, tools
from hyperllama_openai.decode.images import image
from hyperllama_openai.decode.messages import arguments, merged
from hyperllama_openai.errors import InvalidValue, MissingParameter
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire import chat, limits
from hyperllama_openai.wire.responses import Item, ResponsesRequest, ToolChoice
from hyperllama_openai.wire.responses import Part as WirePart
from hyperllama_openai.wire.shared import ResponseFormat, SamplingFields

LOGPROBS = "message.output_text.logprobs"
_MAX_METADATA = 16


def responses(
    request: ResponsesRequest, context: Sequence[Item], info: ModelInfo, settings: Settings
) -> GenerationRequest:
    """Return the generation. ``context`` ends with the request's own input. Raise InvalidRequest."""
    _refuse(request)
    specs, choice = tools.choose(_choice(request.tool_choice), function_tools(request))
    effort = reasoning.effort(request.reasoning.effort, "reasoning.effort") if request.reasoning else None
    chat_input = conversation(request, context, settings)
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


def conversation(request: ResponsesRequest, context: Sequence[Item], settings: Settings) -> Chat:
    reader = _Reader()
    for index, item in enumerate(context):
        reader.add(item, f"input[{index}]")
    found = reader.result()
    if request.instructions:
        found = (Message(role="system", parts=(Text(request.instructions),)), *found)
    if not found:
        raise MissingParameter("Missing required parameter: 'input'.", param="input")
    return Chat(
        messages=merged(found) if settings.merge_system else found,
        template_kwargs=reasoning.template_kwargs(request.chat_template_kwargs, settings.template_kwargs),
    )


def function_tools(request: ResponsesRequest) -> tuple[ToolSpec, ...]:
    """Return the function tools. Agents also offer built-in tools of OpenAI's, which no model here could use."""
    found = request.tools or ()
    if len(found) > limits.MAX_TOOLS:
        raise InvalidValue(f"'tools' takes at most {limits.MAX_TOOLS} tools.", param="tools")
    specs = []
    for index, tool in enumerate(found):
        if tool.type != "function":
            continue
        if tool.name is None:
            raise MissingParameter(f"Missing required parameter: 'tools[{index}].name'.", param=f"tools[{index}].name")
        specs.append(
            tools.spec(
                tool.name,
                description=tool.description,
                parameters=tool.parameters,
                strict=tool.strict,
                param=f"tools[{index}]",
            )
        )
    return tuple(specs)


class _Turn:
    """An assistant's turn that still grows."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.calls: list[ToolCall] = []
        self.reasoning: list[str] = []

    def message(self) -> Message:
        return Message(
            role="assistant",
            parts=tuple(self.parts),
            tool_calls=tuple(self.calls),
            reasoning="".join(self.reasoning),
        )


class _Reader:
    """The reader of items; the thoughts, words and calls of one assistant turn become one message."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._turn: _Turn | None = None
        self._names: dict[str, str] = {}
        self._images = 0

    def add(self, item: Item, param: str) -> None:
        kind = item.type or ("message" if item.role else "")
        match kind:
            case "message":
                self._message(item, param)
            case "function_call":
                self._call(item, param)
            case "function_call_output":
                self._answer(item, param)
            case "reasoning":
                content = item.content if isinstance(item.content, list) else ()
                self._assistant(reasoning="".join(part.text or "" for part in content or item.summary or ()))
            case "item_reference":
                raise UnsupportedFeature("Items cannot be referenced by id; send them whole.", param=param)
            case _:
                raise InvalidValue(
                    f"Invalid value for '{param}.type': {kind[:40]!r} is not supported.", param=f"{param}.type"
                )

    def result(self) -> tuple[Message, ...]:
        if self._images > MAX_IMAGES:
            raise InvalidValue(f"At most {MAX_IMAGES} images are allowed.", param="input")
        self._close()
        return tuple(self._messages)

    def _message(self, item: Item, param: str) -> None:
        parts = self._parts(item.content, param)
        match item.role:
            case "assistant":
                self._assistant(parts=parts)
            case "user":
                self._append(Message(role="user", parts=parts))
            case "system" | "developer":
                self._append(Message(role="system", parts=parts))
            case _:
                raise InvalidValue(
                    f"Invalid value for '{param}.role': expected 'user', 'assistant', 'system' or 'developer'.",
                    param=f"{param}.role",
                )

    def _call(self, item: Item, param: str) -> None:
        if item.call_id is None or item.name is None:
            missing = "call_id" if item.call_id is None else "name"
            raise MissingParameter(f"Missing required parameter: '{param}.{missing}'.", param=f"{param}.{missing}")
        self._names[item.call_id] = item.name
        text = arguments(item.arguments)
        self._assistant(calls=(ToolCall(item.call_id, item.name, text),))

    def _answer(self, item: Item, param: str) -> None:
        if item.call_id is None or item.output is None:
            missing = "call_id" if item.call_id is None else "output"
            raise MissingParameter(f"Missing required parameter: '{param}.{missing}'.", param=f"{param}.{missing}")
        parts = self._parts(item.output, param, field="output")
        name = self._names.get(item.call_id)
        self._append(Message(role="tool", parts=parts, tool_call_id=item.call_id, name=name))

    def _assistant(
        self, *, parts: tuple[Part, ...] = (), calls: tuple[ToolCall, ...] = (), reasoning: str = ""
    ) -> None:
        if self._turn is not None and parts and (self._turn.parts or self._turn.calls):
            self._close()
        if self._turn is None:
            self._turn = _Turn()
        self._turn.parts += parts
        self._turn.calls += calls
        self._turn.reasoning.append(reasoning)

    def _append(self, message: Message) -> None:
        self._close()
        self._messages.append(message)

    def _close(self) -> None:
        if self._turn is not None:
            self._messages.append(self._turn.message())
            self._turn = None

    def _parts(self, content: str | list[WirePart] | None, param: str, *, field: str = "content") -> tuple[Part, ...]:
        if content is None:
            raise MissingParameter(f"Missing required parameter: '{param}.{field}'.", param=f"{param}.{field}")
        if isinstance(content, str):
            return (Text(content),) if content else ()
        return tuple(self._part(part, f"{param}.{field}[{index}]") for index, part in enumerate(content))

    def _part(self, part: WirePart, param: str) -> Part:
        match part.type:
            case "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text":
                return Text(part.text or "")
            case "refusal":
                return Text(part.refusal or "")
            case "input_image" if part.image_url is not None:
                self._images += 1
                url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
                return image(url, f"{param}.image_url")
            case "input_image" | "input_file" | "input_audio":
                raise UnsupportedFeature(f"'{part.type}' by id or file is not supported.", param=param)
        raise InvalidValue(f"Invalid value for '{param}.type': {part.type[:40]!r}.", param=f"{param}.type")


def _choice(choice: str | ToolChoice | None) -> str | chat.ToolChoice | None:
    """Return the choice in chat's form, from which built-in tools are missing."""
    if not isinstance(choice, ToolChoice):
        return choice
    if choice.type == "function" and choice.name is not None:
        return chat.ToolChoice(type="function", function=chat.ToolName(name=choice.name))
    if choice.type == "allowed_tools":
        allowed = [
            chat.AllowedTool(type="function", function=chat.ToolName(name=tool.name))
            for tool in choice.tools or ()
            if tool.type == "function" and tool.name is not None
        ]
        return chat.ToolChoice(
            type="allowed_tools", allowed_tools=chat.AllowedTools(mode=choice.mode or "auto", tools=allowed)
        )
    raise InvalidValue("Invalid value for 'tool_choice.type': only functions can be chosen.", param="tool_choice")


def _output(request: ResponsesRequest) -> OutputFormat | None:
    form = request.text.format if request.text else None
    if form is None:
        return None
    if form.type == "json_schema" and form.schema is None:
        raise MissingParameter("Missing required parameter: 'text.format.schema'.", param="text.format.schema")
    flat = SamplingFields(model="", response_format=ResponseFormat(type=form.type, schema=form.schema))
    try:
        return formats.output(flat)
    except InvalidValue as error:
        raise type(error)(
            error.message.replace("response_format.", "text.format."),
            param=(error.param or "").replace("response_format", "text.format"),
        ) from error


def _refuse(request: ResponsesRequest) -> None:
    sampling.refuse(("conversation", request.conversation), ("prompt", request.prompt))
    if request.background and request.store is False:
        raise InvalidValue("'background' needs 'store' to be true.", param="background")
    if request.truncation not in (None, "auto", "disabled"):
        raise InvalidValue("Invalid value for 'truncation': expected 'auto' or 'disabled'.", param="truncation")
    metadata = request.metadata or {}
    if len(metadata) > _MAX_METADATA or any(len(key) > 64 or len(value) > 512 for key, value in metadata.items()):
        raise InvalidValue("'metadata' takes 16 pairs of at most 64 and 512 characters.", param="metadata")


__all__ = ("LOGPROBS", "conversation", "function_tools", "responses")
