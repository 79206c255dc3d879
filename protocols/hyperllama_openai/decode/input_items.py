"""The items of a response's input as messages: what one assistant turn thought, said and called becomes one message."""

from __future__ import annotations

from hyperllama.errors import UnsupportedFeature
from hyperllama.messages import Image, Message, Part, Text, ToolCall
from hyperllama.web import MAX_IMAGES
from hyperllama_openai import opaque
from hyperllama_openai.decode import client_calls, summaries
from hyperllama_openai.decode.images import image
from hyperllama_openai.decode.toolbox import Toolbox
from hyperllama_openai.decode.traces import trace
from hyperllama_openai.errors import InvalidValue, MissingParameter
from hyperllama_openai.wire.responses import Item
from hyperllama_openai.wire.responses import Part as WirePart


class _Turn:
    """An assistant's turn that still grows."""

    def __init__(self) -> None:
        self.notes: list[str] = []  # lines about tools that ran elsewhere, before what it said
        self.parts: list[Part] = []
        self.calls: list[ToolCall] = []
        self.reasoning: list[str] = []

    def message(self) -> Message:
        notes = "\n".join(self.notes) + ("\n" if self.notes and self.parts else "")
        return Message(
            role="assistant",
            parts=((Text(notes),) if notes else ()) + tuple(self.parts),
            tool_calls=tuple(self.calls),
            reasoning="".join(self.reasoning),
        )


class ItemReader:
    """The reader of one request's items."""

    def __init__(self, box: Toolbox, owner: str = "") -> None:
        """Take the tools of the request, by whose names the model knows its earlier calls.

        ``owner``: the caller, who reads only summaries made for itself.
        """
        self._box = box
        self._owner = owner
        self._messages: list[Message] = []
        self._turn: _Turn | None = None
        self._names: dict[str, str] = {}
        self._calls: dict[str, str] = {}  # the id of an item -> that of its call
        self._images = 0

    def add(self, item: Item, param: str) -> None:
        """Take the next item. Raise InvalidRequest with ``param`` as the place of the fault."""
        kind = item.type or ("message" if item.role else "")
        if kind == "message":
            self._message(item, param)
        elif kind == "reasoning":
            self._assistant(reasoning=_thought(item))
        elif kind in summaries.KINDS:
            self._summary(item, param)
        elif kind in client_calls.CALLS:
            self._call(item, param)
        elif kind in client_calls.RESULTS:
            self._answer(item, param)
        elif (note := trace(item)) is not None:
            if note:
                self._note(note)
        elif kind != "mcp_approval_response":
            raise InvalidValue(
                f"Invalid value for '{param}.type': {kind[:40]!r} is not supported.", param=f"{param}.type"
            )

    def result(self) -> tuple[Message, ...]:
        """Return the messages. Raise InvalidValue for too many images."""
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
        kind = client_calls.CALLS[item.type or ""]
        if item.call_id is None:
            if kind == "tool_search":
                return  # the provider searched
            raise MissingParameter(f"Missing required parameter: '{param}.call_id'.", param=f"{param}.call_id")
        name = self._box.function(kind, client_calls.name_of(item, param), item.namespace)
        self._names[item.call_id] = name
        if item.id is not None:
            self._calls[item.id] = item.call_id
        self._assistant(calls=(ToolCall(item.call_id, name, client_calls.arguments_of(item)),))

    def _answer(self, item: Item, param: str) -> None:
        call_id = item.call_id
        if item.type == "local_shell_call_output" and call_id is None and item.id is not None:
            call_id = self._calls.get(item.id, item.id)  # its id is the call's
        if item.type == "tool_search_output" and call_id is None:
            return  # the provider searched
        result = client_calls.result_of(item)
        if call_id is None or result is None:
            missing = "call_id" if call_id is None else "output"
            raise MissingParameter(f"Missing required parameter: '{param}.{missing}'.", param=f"{param}.{missing}")
        parts = self._parts(result, param, field="output")
        self._append(Message(role="tool", parts=parts, tool_call_id=call_id, name=self._names.get(call_id)))

    def _summary(self, item: Item, param: str) -> None:
        """Put a summary in the place of what the assistant and its tools did before it; the user's turns stay."""
        text = summaries.read(item, self._owner, param)
        if text is None:
            return
        self._turn = None
        self._messages = [message for message in self._messages if message.role in ("user", "system")]
        self._images = sum(isinstance(part, Image) for message in self._messages for part in message.parts)
        self._append(Message(role="user", parts=(Text(text),)))

    def _note(self, line: str) -> None:
        if self._turn is not None and (self._turn.parts or self._turn.calls):
            self._close()
        self._assistant()
        assert self._turn is not None  # noqa: S101 - the line before opened it
        self._turn.notes.append(line)

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
            case "":
                raise MissingParameter(f"Missing required parameter: '{param}.type'.", param=f"{param}.type")
        raise InvalidValue(f"Invalid value for '{param}.type': {part.type[:40]!r}.", param=f"{param}.type")


def _thought(item: Item) -> str:
    """Return the thoughts of an item: those that we sealed, else its content, else its summary."""
    sealed = opaque.unseal(item.encrypted_content)
    if sealed is not None:
        return sealed
    content = item.content if isinstance(item.content, list) else ()
    return "".join(part.text or "" for part in content or item.summary or ())


__all__ = ("ItemReader",)
