"""Messages and tools as the core has them. Clients drop the ids of calls: results find theirs by name and order."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import msgspec

from hyperllama.generation import ToolSpec
from hyperllama.messages import Image, Message, Part, Role, Text, ToolCall
from hyperllama_ollama import wire

_NOTHING = Message(role="assistant")
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
    """Return ``found`` with each result bound to its call. An unknown role speaks as the user."""
    pending = _Pending()
    ids = _ids(found)
    return tuple(_message(message, pending, ids) for message in found)


def beginning(said: tuple[Message, ...]) -> tuple[tuple[Message, ...], bool]:
    """Return ``said``, and True if the last message is the beginning of the answer. An empty one is left out.

    A message that calls tools is complete. Clients that show the answer as it comes send an empty one for it.
    """
    if not said:
        return said, False
    end = len(said)
    while end > 1 and said[end - 1] == _NOTHING:
        end -= 1
    last = said[end - 1]
    return said[:end], last.role == "assistant" and not last.tool_calls and last.text.strip() != ""


def role(found: wire.Message) -> Role:
    """Return the role that a message speaks in."""
    return _ROLES.get(found.role, "user")


def tools(found: Sequence[wire.Tool]) -> tuple[ToolSpec, ...]:
    """Return the tools that have a name."""
    return tuple(
        ToolSpec(tool.function.name, tool.function.description, tool.function.parameters)
        for tool in found
        if tool.function.name
    )


def _message(found: wire.Message, pending: _Pending, ids: Iterator[str]) -> Message:
    spoken = role(found)
    parts: list[Part] = [Image(data) for data in found.images]
    if found.content:
        parts.append(Text(found.content))
    calls = tuple(
        ToolCall(call.id or next(ids), call.function.name, _JSON.encode(call.function.arguments).decode())
        for call in found.tool_calls
    )
    pending.add(calls)
    call_id, name = found.tool_call_id or None, found.tool_name or None
    if spoken == "tool":
        call = pending.take(call_id, name)
        if call is not None:
            call_id, name = call.id, name or call.name
    return Message(
        role=spoken,
        parts=tuple(parts),
        reasoning=found.thinking,
        tool_calls=calls,
        tool_call_id=call_id if spoken == "tool" else None,
        name=name,
    )


class _Pending:
    """Calls without a result yet, in order. Each is put in and taken out once, so all of them cost linear time."""

    def __init__(self) -> None:
        self._calls: dict[int, ToolCall] = {}
        self._by_id: defaultdict[str, deque[int]] = defaultdict(deque)
        self._by_name: defaultdict[str, deque[int]] = defaultdict(deque)
        self._all: deque[int] = deque()
        self._count = 0

    def add(self, calls: Sequence[ToolCall]) -> None:
        for call in calls:
            number = self._count = self._count + 1
            self._calls[number] = call
            self._by_id[call.id].append(number)
            self._by_name[call.name].append(number)
            self._all.append(number)

    def take(self, call_id: str | None, name: str | None) -> ToolCall | None:
        """Remove and return the call that a result answers: by id, else the oldest of that name, else the oldest."""
        if call_id is not None:
            line = self._by_id.get(call_id)
        elif name is not None:
            line = self._by_name.get(name)
        else:
            line = self._all
        while line:
            found = self._calls.pop(line.popleft(), None)
            if found is not None:  # not taken by another key before
                return found
        return None


def _ids(found: Sequence[wire.Message]) -> Iterator[str]:
    """Return ids for calls that came without: the same for the same conversation, and none that it uses."""
    taken = {call.id for message in found for call in message.tool_calls}
    return (made for made in (f"call_{number:08d}" for number in count()) if made not in taken)


__all__ = ("beginning", "messages", "role", "tools")
