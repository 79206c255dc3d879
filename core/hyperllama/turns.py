"""The order of a conversation's messages, for chat templates that refuse some orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from hyperllama.messages import Chat, Image, Input, Message, Part, Role, Text, ToolCall

_GAP = "\n\n"
_BEGINNING = "[The conversation begins.]"
_NO_RESULT = "[There is no result.]"
_ID_LENGTH = 9  # Mistral's templates take ids of exactly nine letters and digits

Messages = tuple[Message, ...]


def arrangements(messages: Messages) -> Iterator[Messages]:
    """Yield ``messages`` as they are, then in orders that ever stricter templates take, none twice.

    Each loses no text: turns are combined, then made to alternate; a template without system messages finds their
    text in the first user turn, one without tools finds calls and results as text.
    """
    yield messages
    for step in _STEPS:
        found = step(messages)
        if found != messages:
            yield found
        messages = found


def placed(input: Input) -> Input:
    """Return ``input`` with at most one system message, the first: no other place is taken by every template.

    System messages before the first answer join it. A later one speaks at the beginning of the user turn beside it
    rather than at the front, where each new one would change the beginning that a cache of prefixes knows.
    """
    if not isinstance(input, Chat):
        return input
    messages = input.messages
    if all(message.role != "system" for message in messages[1:]):
        return input
    return msgspec.structs.replace(input, messages=_placed(messages))


def combined(messages: Iterable[Message]) -> Messages:
    """Return ``messages`` with each run of user turns, and of assistant turns, as one turn."""
    found: list[Message] = []
    run: list[Message] = []
    for message in messages:
        if run and (message.role != run[0].role or message.role not in ("user", "assistant")):
            found.append(_joined(run))
            run = []
        run.append(message)
    if run:
        found.append(_joined(run))
    return tuple(found)


def _placed(messages: Messages) -> Messages:
    answered = next((at for at, message in enumerate(messages) if message.role in ("assistant", "tool")), len(messages))
    opening, later = messages[:answered], messages[answered:]
    if all(message.role == "system" for message in opening) and not later:
        return (_joined(opening),)
    systems = [message for message in opening if message.role == "system"]
    found = [_joined(systems)] if systems else []
    found += (message for message in opening if message.role != "system")
    waiting: list[Message] = []  # system messages without a user turn as yet
    for at, message in enumerate(later):
        if message.role == "system":
            waiting.append(message)
            continue
        if waiting and message.role != "user":
            _into(found, waiting, beside=later[at - len(waiting) - 1])
            waiting = []
        if waiting:
            found.append(_joined([*waiting, message], role="user"))
            waiting = []
        else:
            found.append(message)
    if waiting:
        _into(found, waiting, beside=found[-1])
    return tuple(found)


def _into(found: list[Message], systems: Sequence[Message], *, beside: Message) -> None:
    """Put ``systems`` in the user turn that ends ``found``, or in one of their own after it."""
    if beside.role == "user" and found[-1].role == "user":
        found[-1] = _joined([*systems, found[-1]], role="user")
    else:
        found.append(_joined(systems, role="user"))


def _joined(run: Sequence[Message], role: Role | None = None) -> Message:
    """Return the messages of ``run`` as one, by default of the first one's role."""
    first = run[0]
    if len(run) == 1 and role in (None, first.role):
        return first
    parts: list[Part] = []
    for message in run:
        if parts and message.parts and not _divided(parts[-1], message.parts[0]):
            parts.append(Text(_GAP))
        parts += message.parts
    return msgspec.structs.replace(
        first,
        role=role or first.role,
        parts=tuple(parts),
        reasoning=_GAP.join(message.reasoning for message in run if message.reasoning),
        tool_calls=tuple(call for message in run for call in message.tool_calls),
    )


def _divided(before: Part, after: Part) -> bool:
    return isinstance(before, Image) or isinstance(after, Image) or before.text.endswith(_GAP)


def _with_short_ids(messages: Messages) -> Messages:
    short: dict[str, str] = {}

    def of(id: str) -> str:
        return short.setdefault(id, f"{len(short):0{_ID_LENGTH}d}")

    def renamed(call: ToolCall) -> ToolCall:
        return ToolCall(of(call.id), call.name, call.arguments)

    return tuple(
        msgspec.structs.replace(
            message,
            tool_calls=tuple(map(renamed, message.tool_calls)),
            tool_call_id=None if message.tool_call_id is None else of(message.tool_call_id),
        )
        for message in messages
    )


def _alternating(messages: Messages) -> Messages:
    """Return turns that alternate where results of tools are no turns: the user's words after one join it.

    A turn without words is never made up: there are templates that refuse those, too.
    """
    found: list[Message] = []
    for message in messages:
        before = found[-1] if found else None
        if message.role == "assistant" and (before is None or before.role == "system"):
            found.append(Message(role="user", parts=(Text(_BEGINNING),)))
        if message.role == "user" and before is not None and before.tool_calls:
            found += (
                Message(role="tool", parts=(Text(_NO_RESULT),), tool_call_id=call.id, name=call.name)
                for call in before.tool_calls
            )
        if message.role == "user" and found and found[-1].role == "tool":
            found[-1] = _joined([found[-1], message])
        else:
            found.append(message)
    return tuple(found)


def _one_call_each(messages: Messages) -> Messages:
    """Return calls made at once as one after the other, each with its result behind it."""
    found: list[Message] = []
    results: dict[str, list[Message]] = {}  # of the calls of the turn before
    calls: Sequence[ToolCall] = ()
    ids: set[str | None] = set()

    def write() -> None:
        for at, call in enumerate(calls):
            if at:
                found.append(Message(role="assistant", tool_calls=(call,)))
            found.extend(results.pop(call.id, ()))

    for message in messages:
        if message.role == "tool" and message.tool_call_id in ids:
            results.setdefault(message.tool_call_id or "", []).append(message)
            continue
        write()
        calls = message.tool_calls
        ids = {call.id for call in calls}
        found.append(msgspec.structs.replace(message, tool_calls=calls[:1]) if len(calls) > 1 else message)
    write()
    return tuple(found)


def _systemless(messages: Messages) -> Messages:
    return combined(
        msgspec.structs.replace(message, role="user") if message.role == "system" else message for message in messages
    )


def _toolless(messages: Messages) -> Messages:
    return combined(map(_without_tools, messages))


def _without_tools(message: Message) -> Message:
    if message.role == "tool":
        return Message(role="user", parts=(Text(f"[result of {message.name or 'a tool'}] "), *message.parts))
    if message.tool_calls:
        calls = "\n".join(f"[call of {call.name}] {call.arguments}" for call in message.tool_calls)
        gap = (Text("\n"),) if message.parts else ()
        return msgspec.structs.replace(message, parts=(*message.parts, *gap, Text(calls)), tool_calls=())
    return message


_STEPS: tuple[Callable[[Messages], Messages], ...] = (
    combined,
    _with_short_ids,
    _alternating,
    _one_call_each,
    _systemless,
    _toolless,
)

__all__ = ("arrangements", "combined", "placed")
