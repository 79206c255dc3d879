"""A conversation that is too long loses its oldest messages, as in Ollama: never a system message, never the last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from hyperllama.errors import ContextTooLong, UnsupportedFeature
from hyperllama.generation import GenerationRequest
from hyperllama.identity import Caller
from hyperllama.messages import Chat, Input, Message
from hyperllama.models import ModelInfo
from hyperllama.spi import Gateway
from hyperllama.stream import TokenStream
from hyperllama_ollama.errors import TOO_LONG, PromptTooLong

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
        return len(await gateway.tokenize(request.model, input, caller))

    room = min(request.context_length or info.context_length, info.context_length)
    try:
        fitted = await fit(request.input, count, room, truncate=truncate)
    except UnsupportedFeature:
        raise refused from None
    if fitted is None:
        raise PromptTooLong(TOO_LONG if truncate else refused.message) from refused
    shorter = msgspec.structs.replace(
        request, input=fitted, sampling=msgspec.structs.replace(request.sampling, max_tokens=None)
    )
    try:
        return await gateway.generate(shorter, caller)
    except ContextTooLong as error:
        raise PromptTooLong(TOO_LONG if truncate else error.message) from error


async def fit(input: Input, count: Count, room: int, *, truncate: bool) -> Input | None:
    """``input`` with as few of its oldest messages left out as leaves room for a token; None: it cannot be done."""
    if await count(input) < room:
        return input
    if not truncate or not isinstance(input, Chat) or len(input.messages) < 2:
        return None
    fitting: Chat | None = None
    low, high = 1, len(input.messages) - 1
    while low <= high:
        middle = (low + high) // 2
        shorter = msgspec.structs.replace(input, messages=_from(input.messages, middle))
        if await count(shorter) < room:
            fitting, high = shorter, middle - 1
        else:
            low = middle + 1
    return fitting


def _from(messages: tuple[Message, ...], start: int) -> tuple[Message, ...]:
    return (*(message for message in messages[:start] if message.role == "system"), *messages[start:])


__all__ = ("fit", "generate")
