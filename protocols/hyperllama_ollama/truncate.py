"""The cut of a conversation that is too long: oldest messages first, never a system message, never the last."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable

import msgspec

from hyperllama.errors import ContextTooLong, InvalidRequest, UnsupportedFeature
from hyperllama.generation import GenerationRequest
from hyperllama.identity import Caller
from hyperllama.messages import Chat, Input, Message, Prompt, Text, ToolCall, opened
from hyperllama.models import ModelInfo
from hyperllama.spi import Gateway
from hyperllama.stream import TokenStream
from hyperllama_ollama.errors import TOO_LONG, PromptTooLong

LONGEST = 16  # characters a token stands for, on average over a text, at most
SHARE = 4  # the part of a context that an answer may have is one in so many
MOST = 8192  # messages that are left of a conversation that does not fit, however short they are

Count = Callable[[Input], Awaitable[int]]


class Shorter(msgspec.Struct, frozen=True):
    """The beginnings that may be left out of a conversation of ``length`` messages.

    ``render`` returns the input that begins with the message of the given number, and how many messages it lost. When
    its second argument is true the last question before that is kept, too, for templates that refuse a chat without.
    """

    length: int
    render: Callable[[int, bool], Awaitable[tuple[Input, int]]]


class Fitted(msgspec.Struct, frozen=True):
    """An input that leaves room for a token, its length in tokens, and how many messages it lost."""

    input: Input
    used: int
    dropped: int = 0


async def generate(
    gateway: Gateway,
    request: GenerationRequest,
    caller: Caller,
    info: ModelInfo,
    *,
    truncate: bool,
    shorter: Shorter | None = None,
) -> TokenStream:
    """Generate; an input that does not fit, or leaves no room for an answer, is shortened once, on refusal only.

    Asking for more tokens than there is room for is no error in Ollama: the answer then ends with the context.
    ``shorter`` renders a conversation that is a plain prompt by now; a chat needs none.
    Raises PromptTooLong when the prompt alone is too long and may not, or cannot, be shortened.
    """
    room = context(request, info)
    asked = request
    if truncate and _droppable(request.input, shorter):
        asked = msgspec.structs.replace(request, reserved=reserve(request, room))
    try:
        return await gateway.generate(asked, caller)
    except ContextTooLong as error:
        refused = error
    try:
        fitted = await _fitted(gateway, asked, caller, info, shorter=shorter, truncate=truncate)
    except UnsupportedFeature:
        raise refused from None
    if fitted is None:
        raise PromptTooLong(TOO_LONG if truncate else refused.message) from refused
    wanted = request.sampling.max_tokens
    again = msgspec.structs.replace(
        request,
        input=fitted.input,
        truncated=fitted.dropped,
        sampling=msgspec.structs.replace(
            request.sampling, max_tokens=None if wanted is None else min(wanted, room - fitted.used)
        ),
    )
    try:
        return await gateway.generate(again, caller)
    except ContextTooLong as error:
        raise PromptTooLong(TOO_LONG if truncate else error.message) from error


async def render(
    gateway: Gateway,
    request: GenerationRequest,
    caller: Caller,
    info: ModelInfo,
    *,
    truncate: bool,
    shorter: Shorter | None = None,
) -> tuple[int, ...]:
    """Return the tokens that :func:`generate` would have the engine see. Raises ContextTooLong."""
    room = context(request, info)
    reserved = reserve(request, room) if _droppable(request.input, shorter) else 1
    try:
        ids = await _tokens(gateway, request, caller, request.input)
    except ContextTooLong as error:
        if not truncate:
            raise
        refused = error
    else:
        if not truncate or len(ids) + reserved <= room:
            return ids
        refused = PromptTooLong(TOO_LONG)
    asked = msgspec.structs.replace(request, reserved=reserved)
    fitted = await _fitted(gateway, asked, caller, info, shorter=shorter, truncate=True)
    if fitted is None:
        raise PromptTooLong(TOO_LONG) from refused
    return await _tokens(gateway, request, caller, fitted.input)


def context(request: GenerationRequest, info: ModelInfo) -> int:
    """Return the tokens that prompt and answer may have together."""
    return min(request.context_length or info.context_length, info.context_length)


def reserve(request: GenerationRequest, room: int) -> int:
    """Return the tokens of a context that are left for an answer when a conversation can be shortened.

    Ollama fills the context and then drops the older half of it while it answers; engines here cannot.
    """
    wanted, share = request.sampling.max_tokens, room // SHARE
    return max(1, share if wanted is None else min(wanted, share))


def _droppable(input: Input, shorter: Shorter | None) -> bool:
    if shorter is not None:
        return shorter.length > 1
    return isinstance(input, Chat) and any(message.role != "system" for message in input.messages[:-1])


async def _fitted(
    gateway: Gateway,
    request: GenerationRequest,
    caller: Caller,
    info: ModelInfo,
    *,
    truncate: bool,
    shorter: Shorter | None,
) -> Fitted | None:
    room = context(request, info)

    async def count(input: Input) -> int:
        if _characters(input) > LONGEST * room:  # not worth a tokenizer's time
            return room
        try:
            return len(await _tokens(gateway, request, caller, input))
        except ContextTooLong:  # it was not worth the engine's time, either
            return room

    whole = opened(request.input, info.messages)
    if shorter is None and isinstance(whole, Chat):
        shorter = of_chat(whole)
    return await fit(whole, count, room, shorter if truncate else None, reserved=request.reserved)


async def _tokens(gateway: Gateway, request: GenerationRequest, caller: Caller, input: Input) -> tuple[int, ...]:
    return tuple(
        await gateway.tokenize(
            request.model, _seen(input, request), caller, tools=request.tools, reasoning=request.reasoning
        )
    )


async def fit(input: Input, count: Count, room: int, shorter: Shorter | None, *, reserved: int = 1) -> Fitted | None:
    """Return ``input`` without as few of its oldest messages as leaves room for ``reserved`` tokens of an answer.

    Where the last message leaves less, it is all that is left; None when it leaves none. Costs a count for each
    doubling of the number of messages that can fit, since each takes a token at least.
    """
    most, full = min(room, MOST), room - max(1, reserved)
    fitting: Fitted | None = None
    if shorter is None or shorter.length <= most:
        used = await count(input)
        if used <= full or (used < room and (shorter is None or shorter.length < 2)):
            return Fitted(input, used)
        if shorter is None:
            return None
    low, high = max(1, shorter.length - most), shorter.length - 1
    while low <= high:
        middle = (low + high) // 2
        found = await _probe(shorter, middle, count)
        if found.used <= full:
            fitting, high = found, middle - 1
        else:
            low = middle + 1
            if low == shorter.length and found.used < room:  # nothing more can be left out
                fitting = found
    return fitting


def of_chat(chat: Chat) -> Shorter:
    """Return the beginnings of a chat. A result whose call is left out keeps that call, and nothing else of it."""
    messages = chat.messages
    call_of = _calls(messages)
    systems = [number for number, message in enumerate(messages) if message.role == "system"]
    users = [number for number, message in enumerate(messages) if message.role == "user"]

    async def render(start: int, question: bool) -> tuple[Input, int]:
        numbers = systems[: bisect_left(systems, start)]
        if question:
            numbers += users[: bisect_left(users, start)][-1:]
        before = [messages[number] for number in sorted(numbers)]
        calls = {
            place: messages[place[0]].tool_calls[place[1]]
            for number, place in call_of.items()
            if number >= start > place[0]
        }
        kept = (Message(role="assistant", tool_calls=tuple(calls[place] for place in sorted(calls))),) if calls else ()
        left = (*before, *kept, *messages[start:])
        return msgspec.structs.replace(chat, messages=left), len(messages) - len(left)

    return Shorter(len(messages), render)


async def _probe(shorter: Shorter, start: int, count: Count) -> Fitted:
    try:
        found, lost = await shorter.render(start, False)
        used = await count(found)
    except InvalidRequest:
        found, lost = await shorter.render(start, True)
        used = await count(found)
    return Fitted(found, used, lost)


def _calls(messages: tuple[Message, ...]) -> dict[int, tuple[int, int]]:
    """Return for each result, by number, the message and the place in it of the call that it answers.

    An id may occur again in a later turn: the last one before the result counts.
    """
    last: dict[str, tuple[int, int]] = {}
    found = {}
    for number, message in enumerate(messages):
        for place, call in enumerate(message.tool_calls):
            last[call.id] = (number, place)
        if message.role == "tool" and message.tool_call_id in last:
            found[number] = last[message.tool_call_id]
    return found


def _seen(input: Input, request: GenerationRequest) -> Input:
    """Return ``input`` with the request's own system prompt where the engine has it."""
    if request.system is None or not isinstance(input, Chat):
        return input
    others = tuple(message for message in input.messages if message.role != "system")
    return msgspec.structs.replace(
        input, messages=(Message(role="system", parts=(Text(request.system),)), *others), opened=True
    )


def _characters(input: Input) -> int:
    match input:
        case Chat(messages=messages):
            return sum(
                len(message.text) + len(message.reasoning) + sum(map(_length, message.tool_calls))
                for message in messages
            )
        case Prompt(text=text):
            return len(text)
    return 0


def _length(call: ToolCall) -> int:
    return len(call.arguments)


__all__ = ("Fitted", "Shorter", "context", "fit", "generate", "of_chat", "render", "reserve")
