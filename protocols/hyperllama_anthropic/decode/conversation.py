"""Anthropic's turns as messages: results of tools leave the user's turn, thoughts and calls stay in the assistant's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.messages import Chat, Image, Message, Part, Text, ToolCall
from hyperllama.turns import combined
from hyperllama.web import MAX_IMAGES, image_bytes
from hyperllama_anthropic import wire
from hyperllama_anthropic.errors import invalid


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
                found.append(_assistant(turn.content, param, names))
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
        return system or ""
    for index, block in enumerate(system):
        if block.type != "text":
            raise invalid(f"system.{index}.type", "expected 'text'")
    return "\n\n".join(block.text or "" for block in system)


def _plain(content: str | list[wire.Block], param: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(_part(block, f"{param}.content.{index}") for index, block in enumerate(content))


def _user(content: str | list[wire.Block], param: str, names: dict[str, str]) -> list[Message]:
    """Return a message for each result of a tool, then one for the user's own content."""
    if isinstance(content, str):
        return [Message(role="user", parts=_plain(content, param))]
    results, said = [], []
    for index, block in enumerate(content):
        where = f"{param}.content.{index}"
        if block.type == "tool_result":
            results.append(_result(block, where, names))
        else:
            said.append(_part(block, where))
    return [*results, Message(role="user", parts=tuple(said))] if said or not results else results


def _result(block: wire.Block, param: str, names: dict[str, str]) -> Message:
    if block.tool_use_id is None:
        raise invalid(f"{param}.tool_use_id", "Field required")
    parts: tuple[Part, ...] = ()
    if isinstance(block.content, str):
        parts = (Text(block.content),) if block.content else ()
    elif block.content:
        parts = tuple(_part(inner, f"{param}.content.{index}") for index, inner in enumerate(block.content))
    if block.is_error:
        parts = (Text("Error: "), *parts)
    return Message(role="tool", parts=parts, tool_call_id=block.tool_use_id, name=names.get(block.tool_use_id))


def _assistant(content: str | list[wire.Block], param: str, names: dict[str, str]) -> Message:
    if isinstance(content, str):
        return Message(role="assistant", parts=_plain(content, param))
    parts: list[Part] = []
    calls: list[ToolCall] = []
    thoughts: list[str] = []
    for index, block in enumerate(content):
        where = f"{param}.content.{index}"
        match block.type:
            case "thinking":
                thoughts.append(block.thinking or "")
            case "redacted_thinking":
                pass
            case "tool_use":
                if block.id is None or block.name is None:
                    raise invalid(f"{where}.{'id' if block.id is None else 'name'}", "Field required")
                names[block.id] = block.name
                calls.append(ToolCall(block.id, block.name, msgspec.json.encode(block.input or {}).decode()))
            case _:
                parts.append(_part(block, where))
    return Message(role="assistant", parts=tuple(parts), reasoning="".join(thoughts), tool_calls=tuple(calls))


def _part(block: wire.Block | wire.InnerBlock, param: str) -> Part:
    match block.type:
        case "text":
            if block.text is None:
                raise invalid(f"{param}.text", "Field required")
            return Text(block.text)
        case "image":
            return _image(block.source, param)
        case "document" if block.source is not None and block.source.type == "text":
            return Text(block.source.data or "")
        case "document" | "search_result" | "server_tool_use" | "web_search_tool_result":
            raise UnsupportedFeature(f"{param}: content of type '{block.type}' is not supported", param=param)
    raise invalid(f"{param}.type", f"{block.type[:40]!r} is no content that belongs here")


def _image(source: wire.Source | None, param: str) -> Image:
    if source is None:
        raise invalid(f"{param}.source", "Field required")
    if source.type != "base64":
        raise invalid(f"{param}.source.type", "this server fetches no image from there; send it as base64")
    try:
        return Image(image_bytes(source.data or ""))
    except ValueError as error:
        raise invalid(f"{param}.source.data", str(error)) from error


__all__ = ("conversation",)
