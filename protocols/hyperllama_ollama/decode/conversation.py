"""Messages and tools in the core's words. Clients drop the ids of calls: results find their calls by name and order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import msgspec

from hyperllama.generation import ToolSpec
from hyperllama.messages import Image, Message, Part, Role, Text, ToolCall
from hyperllama_ollama import wire

_JSON = msgspec.json.Encoder()
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}


def messages(found: Sequence[wire.Message]) -> tuple[Message, ...]:
    """Any role is taken; one that nobody knows speaks as the user."""
    pending: list[ToolCall] = []
    ids = _ids(found)
    return tuple(_message(message, pending, ids) for message in found)


def tools(found: Sequence[wire.Tool]) -> tuple[ToolSpec, ...]:
    return tuple(
        ToolSpec(tool.function.name, tool.function.description, tool.function.parameters)
        for tool in found
        if tool.function.name
    )


def _message(found: wire.Message, pending: list[ToolCall], ids: Iterator[str]) -> Message:
    role = _ROLES.get(found.role, "user")
    parts: list[Part] = [Image(data) for data in found.images]
    if found.content:
        parts.append(Text(found.content))
    calls = tuple(
        ToolCall(call.id or next(ids), call.function.name, _JSON.encode(call.function.arguments).decode())
        for call in found.tool_calls
    )
    pending.extend(calls)
    call_id, name = found.tool_call_id or None, found.tool_name or None
    if role == "tool":
        call = _answered(pending, call_id, name)
        if call is not None:
            call_id, name = call.id, name or call.name
    return Message(
        role=role,
        parts=tuple(parts),
        reasoning=found.thinking,
        tool_calls=calls,
        tool_call_id=call_id if role == "tool" else None,
        name=name,
    )


def _answered(pending: list[ToolCall], call_id: str | None, name: str | None) -> ToolCall | None:
    """The call that a result answers, taken from ``pending``: by id, else the oldest of that name, else the oldest."""
    if call_id is not None:
        found = next((call for call in pending if call.id == call_id), None)
    elif name is not None:
        found = next((call for call in pending if call.name == name), None)
    else:
        found = pending[0] if pending else None
    if found is not None:
        pending.remove(found)
    return found


def _ids(found: Sequence[wire.Message]) -> Iterator[str]:
    """Ids for calls that came without, the same for the same conversation, and none that it uses."""
    taken = {call.id for message in found for call in message.tool_calls}
    return (made for made in (f"call_{number:08d}" for number in count()) if made not in taken)


__all__ = ("messages", "tools")
