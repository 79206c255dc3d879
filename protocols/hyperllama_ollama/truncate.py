"""A conversation that is too long loses its oldest messages, as in Ollama: never a system message, never the last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from hyperllama.errors import ContextTooLong, UnsupportedFeature
from hyperllama.generation import GenerationRequest
from hyperllama.identity import Caller
from hyperllama.messages import Chat, Input, Message, Prompt
from hyperllama.models import ModelInfo
from hyperllama.spi import Gateway
from hyperllama.stream import TokenStream
from hyperllama_ollama.errors import TOO_LONG, PromptTooLong

LONGEST = 16  # characters a token stands for, on average over a text, at most

Count = Callable[[Input], Awaitable[int]]


async def generate(
    gateway: Gateway, request: GenerationRequest, caller: Caller, info: ModelInfo, *, truncate: bool
) -> TokenStream:
    """Generate; what does not fit is made to fit once, on refusal only.

    Asking for more tokens than there is room for is no error in Ollama: the answer then ends with the context.
    Raises PromptTooLong when the prompt alone is too long and may not, or cannot, be shortened.
    """
    try:
        return await gateway.generate(request, caller)
    except ContextTooLong as error:
        refused = error

    async def count(input: Input) -> int:
        if _characters(input) > LONGEST * room:  # not worth a tokenizer's time
            return room
        return len(await gateway.tokenize(request.model, input, caller))

    room = min(request.context_length or info.context_length, info.context_length)
    try:
        fitted = await fit(request.input, count, room, truncate=truncate)
    except UnsupportedFeature:
        raise refused from None
    if fitted is None:
        raise PromptTooLong(TOO_LONG if truncate else refused.message) from refused
    kept, used = fitted
    wanted = request.sampling.max_tokens
    shorter = msgspec.structs.replace(
        request,
        input=kept,
        truncated=_messages(request.input) - _messages(kept),
        sampling=msgspec.structs.replace(
            request.sampling, max_tokens=None if wanted is None else min(wanted, room - used)
        ),
    )
    try:
        return await gateway.generate(shorter, caller)
    except ContextTooLong as error:
        raise PromptTooLong(TOO_LONG if truncate else error.message) from error


async def fit(input: Input, count: Count, room: int, *, truncate: bool) -> tuple[Input, int] | None:
    """``input`` with as few of its oldest messages left out as leaves room for a token, and its length in tokens.

    None: it cannot be done.
    """
    used = await count(input)
    if used < room:
        return input, used
    if not truncate or not isinstance(input, Chat) or len(input.messages) < 2:
        return None
    fitting: tuple[Input, int] | None = None
    low, high = 1, len(input.messages) - 1
    while low <= high:
        middle = (low + high) // 2
        shorter = msgspec.structs.replace(input, messages=_from(input.messages, middle))
        used = await count(shorter)
        if used < room:
            fitting, high = (shorter, used), middle - 1
        else:
            low = middle + 1
    return fitting


def _characters(input: Input) -> int:
    match input:
        case Chat(messages=messages):
            return sum(len(message.text) for message in messages)
        case Prompt(text=text):
            return len(text)
    return 0


def _messages(input: Input) -> int:
    return len(input.messages) if isinstance(input, Chat) else 0


def _from(messages: tuple[Message, ...], start: int) -> tuple[Message, ...]:
    return (*(message for message in messages[:start] if message.role == "system"), *messages[start:])


__all__ = ("fit", "generate")
