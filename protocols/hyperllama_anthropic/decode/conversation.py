"""Anthropic's turns as messages: results of tools leave the user's turn, thoughts and calls stay in the assistant's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from hyperllama.messages import Chat, Image, Message, Part, Text, ToolCall
from hyperllama.turns import combined
from hyperllama.web import MAX_IMAGES, image_bytes
from hyperllama_anthropic import wire
from hyperllama_anthropic.decode import blocks
from hyperllama_anthropic.errors import invalid

#: Lines for Anthropic's own accounts that agents put before the system prompt. They differ from one session to the
#: next: left there, no session would find in the cache what another one began with.
_ACCOUNTS = re.compile(r"\A(?:x-anthropic-[a-z-]+:[^\n]*(?:\n|\Z))+")
_ELSEWHERE = "[A file of another server was attached here.]"
_GAP = Text("\n\n")


def conversation(turns: Sequence[wire.InputMessage], system: str | Sequence[wire.InnerBlock] | None) -> Chat:
    """Return the conversation, to be continued if its last turn is the assistant's.

    Raises InvalidRequest with the field at fault.
    """
    found: list[Message] = []
    if text := _system(system):
        found.append(Message(role="system", parts=(Text(text),)))
    names: dict[str, str] = {}
    for index, turn in enumerate(turns):
        param = f"messages.{index}"
        match turn.role:
            case "user":
                found += _user(turn.content, param, names)
            case "assistant":
                answer = _Answer(names)
                answer.read(turn.content, param)
                if answer.summary is not None:  # the real API, too, leaves out what a summary stands for
                    found = [message for message in found if message.role == "system"]
                    found.append(Message(role="user", parts=(Text(answer.summary),)))
                found += answer.messages()
            case "system":
                found.append(Message(role="system", parts=_plain(turn.content, param)))
            case _:
                raise invalid(f"{param}.role", "expected 'user' or 'assistant'")
    if sum(isinstance(part, Image) for message in found for part in message.parts) > MAX_IMAGES:
        raise invalid("messages", f"at most {MAX_IMAGES} images are allowed")
    messages = combined(found)  # as this API documents it
    last = messages[-1]
    return Chat(messages=messages, continue_last=last.role == "assistant" and not last.tool_calls)


def _system(system: str | Sequence[wire.InnerBlock] | None) -> str:
    if system is None or isinstance(system, str):
        return _ACCOUNTS.sub("", system or "")
    texts: list[str] = []
    for index, block in enumerate(system):
        if block.type != "text":
            raise invalid(f"system.{index}.type", "expected 'text'")
        text = block.text or ""
        if texts or not (accounts := _ACCOUNTS.match(text)):
            texts.append(text)
        elif rest := text[accounts.end() :]:
            texts.append(rest)
    return "\n\n".join(texts)


def _plain(content: str | list[wire.Block], param: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return _parts(content, param)


def _user(content: str | list[wire.Block], param: str, names: dict[str, str]) -> list[Message]:
    """Return a message for each result of a tool, then one for the user's own content."""
    if isinstance(content, str):
        return [Message(role="user", parts=_plain(content, param))]
    results, words = [], []
    for index, block in enumerate(content):
        where = f"{param}.content.{index}"
        if block.type == "tool_result":
            results.append(_result(block, where, names))
        else:
            words.append((block, where))
    return [*results, Message(role="user", parts=_apart(words))] if words or not results else results


def _result(block: wire.Block, param: str, names: dict[str, str]) -> Message:
    if block.tool_use_id is None:
        raise invalid(f"{param}.tool_use_id", "Field required")
    parts: tuple[Part, ...] = ()
    if isinstance(block.content, str):
        parts = (Text(block.content),) if block.content else ()
    elif isinstance(block.content, list):
        parts = _parts(block.content, param)
    elif block.content:
        raise invalid(f"{param}.content", "expected a string or an array")
    if block.is_error:
        parts = (Text("Error: "), *parts)
    return Message(role="tool", parts=parts, tool_call_id=block.tool_use_id, name=names.get(block.tool_use_id))


class _Answer:
    """An assistant's turn. A tool that another server ran within it is a call and its result, as a client's are."""

    def __init__(self, names: dict[str, str]) -> None:
        self.summary: str | None = None  # of everything before, when the turn holds one
        self._names = names
        self._found: list[Message] = []
        self._blocks: list[tuple[wire.Block, str]] = []
        self._calls: list[ToolCall] = []
        self._thoughts: list[str] = []
        self._foreign: dict[str, ToolCall] = {}
        self._text: tuple[Part, ...] = ()

    def read(self, content: str | list[wire.Block], param: str) -> None:
        if isinstance(content, str):
            self._text = _plain(content, param)
            return
        for index, block in enumerate(content):
            self._read(block, f"{param}.content.{index}")

    def messages(self) -> list[Message]:
        if self._text or self._blocks or self._calls or self._thoughts or not (self._found or self.summary):
            self._end(tuple(self._calls))
        return self._found

    def _read(self, block: wire.Block, where: str) -> None:
        match block.type:
            case "thinking":
                self._thoughts.append(block.thinking or "")
            case "redacted_thinking":
                pass
            case "tool_use":
                self._calls.append(self._call(block, where))
            case "compaction":
                if text := blocks.flat(block.content):
                    self.summary = text
                    self._found, self._blocks, self._calls, self._thoughts = [], [], [], []
            case kind if kind.endswith("_tool_use"):
                call = self._call(block, where)
                self._foreign[call.id] = call
            case kind if kind.endswith("_tool_result"):
                self._foreign_result(block, where)
            case _:
                self._blocks.append((block, where))

    def _call(self, block: wire.Block, where: str) -> ToolCall:
        if block.id is None or block.name is None:
            raise invalid(f"{where}.{'id' if block.id is None else 'name'}", "Field required")
        self._names[block.id] = block.name
        given = block.input if isinstance(block.input, dict) or not block.input else {"arguments": block.input}
        return ToolCall(block.id, block.name, msgspec.json.encode(given or {}).decode())

    def _foreign_result(self, block: wire.Block, where: str) -> None:
        text = blocks.flat(block.content)
        call = self._foreign.pop(block.tool_use_id or "", None)
        if call is None:  # what asked for it is not here
            if text:
                self._blocks.append((wire.Block(type="document", source=wire.Source(type="text", data=text)), where))
            return
        self._end((call,))
        self._found.append(Message(role="tool", parts=(Text(text),), tool_call_id=call.id, name=call.name))

    def _end(self, calls: tuple[ToolCall, ...]) -> None:
        self._found.append(
            Message(
                role="assistant",
                parts=self._text + _apart(self._blocks),
                reasoning="".join(self._thoughts),
                tool_calls=calls,
            )
        )
        self._text, self._blocks, self._thoughts = (), [], []


def _parts(content: Iterable[wire.Block | wire.InnerBlock], param: str) -> tuple[Part, ...]:
    return _apart([(block, f"{param}.content.{index}") for index, block in enumerate(content)])


def _apart(content: Sequence[tuple[wire.Block | wire.InnerBlock, str]]) -> tuple[Part, ...]:
    """Return the parts, with a gap around the text of what is not the speaker's own words."""
    parts: list[Part] = []
    foreign = False
    for block, where in content:
        part = _part(block, where)
        other = block.type not in ("text", "image")
        if parts and (foreign or other) and isinstance(part, Text) and isinstance(parts[-1], Text):
            parts.append(_GAP)
        parts.append(part)
        foreign = other
    return tuple(parts)


def _part(block: wire.Block | wire.InnerBlock, param: str) -> Part:
    match block.type:
        case "text":
            if block.text is None:
                raise invalid(f"{param}.text", "Field required")
            return Text(block.text)
        case "image":
            return _image(block.source, param)
        case "document":
            if block.source is None:
                raise invalid(f"{param}.source", "Field required")
            return Text(blocks.document(block, param))
        case "search_result":
            return Text(blocks.search_result(block))
        case "tool_reference" if isinstance(block, wire.InnerBlock):
            return Text(f"Tool: {block.tool_name or ''}")
        case "container_upload":
            return Text(_ELSEWHERE)
        case kind if kind.endswith(("_tool_result", "_tool_use")):
            return Text(blocks.flat(block.content))
    raise invalid(f"{param}.type", f"{block.type[:40]!r} is no content that belongs here")


def _image(source: wire.Source | str | None, param: str) -> Image:
    if source is None:
        raise invalid(f"{param}.source", "Field required")
    if isinstance(source, str) or source.type != "base64":
        raise invalid(f"{param}.source.type", "this server fetches no image from there; send it as base64")
    try:
        return Image(image_bytes(source.data or ""))
    except ValueError as error:
        raise invalid(f"{param}.source.data", str(error)) from error


__all__ = ("conversation",)
