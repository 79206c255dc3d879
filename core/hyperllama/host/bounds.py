"""Sizes that a host is never sent: what cannot fit its model is refused before it is put into a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import ContextTooLong, InvalidRequest
from hyperllama.generation import ToolSpec
from hyperllama.messages import Chat, Input, Message, Prompt, PromptTokens, Text

LONGEST_TOKEN: Final = 64  # characters; a text that is longer than the context filled with such tokens cannot fit
SPARE: Final = 65_536  # characters, for models of a short context with longer tokens
MOST_MESSAGES: Final = 16_384  # of one conversation, its tools and calls included, whatever the context
MOST_IDS: Final = 131_072  # to be turned into text at once


def characters(context_length: int) -> int:
    """Return the characters that may be tokenized for a context of that many tokens."""
    return context_length * LONGEST_TOKEN + SPARE


def check(input: Input, context_length: int, tools: Sequence[ToolSpec] = ()) -> None:
    """Raise ContextTooLong for an input that certainly does not fit, InvalidRequest for too many messages.

    Costs a few nanoseconds a message and part, nothing for each character.
    """
    match input:
        case Chat(messages=messages):
            # A message, a call or a tool that is rendered is a token at least.
            count = len(messages) + len(tools) + sum(len(message.tool_calls) for message in messages)
            if count > context_length:
                raise too_long(context_length, f"more than {context_length}")
            if count > MOST_MESSAGES:
                raise InvalidRequest(
                    f"There are {count} messages, tools and calls; at most {MOST_MESSAGES} are taken.", param="messages"
                )
            length = sum(map(_characters, messages)) + sum(len(tool.description) for tool in tools)
        case Prompt(text, suffix):
            length = len(text) + len(suffix or "")
        case PromptTokens(ids):
            if len(ids) > context_length:
                raise too_long(context_length, str(len(ids)))
            length = 0
    if length > characters(context_length):
        raise too_long(context_length, f"more than {context_length}")


def check_ids(ids: Sequence[int], context_length: int) -> None:
    """Raise InvalidRequest for more ids than are turned into text at once."""
    most = max(context_length, MOST_IDS)
    if len(ids) > most:
        raise InvalidRequest(
            f"There are {len(ids)} token ids; at most {most} can be turned into text at once.", param="tokens"
        )


def shortened(request: EmbeddingRequest, context_length: int) -> EmbeddingRequest:
    """Return ``request`` with inputs cut to what could ever be used of them.

    Raises ContextTooLong when one is longer and is not to be cut.
    """
    most = characters(context_length)
    long = [text for text in request.inputs if len(text) > (most if isinstance(text, str) else context_length)]
    if not long:
        return request
    if not request.truncate:
        count = f"more than {context_length}" if isinstance(long[0], str) else str(len(long[0]))
        raise ContextTooLong(
            f"This model's maximum context length is {context_length} tokens. However, an input has {count} tokens. "
            "Please shorten it, or let it be truncated.",
            param="input",
        )
    inputs = tuple(text[:most] if isinstance(text, str) else _cut(text, context_length) for text in request.inputs)
    return msgspec.structs.replace(request, inputs=inputs)


def too_long(context_length: int, count: str) -> ContextTooLong:
    """Return the error for a prompt of ``count`` tokens."""
    return ContextTooLong(
        f"This model's maximum context length is {context_length} tokens. However, the prompt has {count} tokens, "
        "which leaves no room for an answer. Please shorten the prompt.",
        param="messages",
    )


def _cut(ids: tuple[int, ...], length: int) -> tuple[int, ...]:
    """Cut to one id more than fits, so that the engine sees that there is more, with the closing one kept."""
    return ids if len(ids) <= length else (*ids[:length], ids[-1])


def _characters(message: Message) -> int:
    return (
        sum(len(part.text) for part in message.parts if isinstance(part, Text))
        + len(message.reasoning)
        + sum(len(call.arguments) for call in message.tool_calls)
    )


__all__ = ("characters", "check", "check_ids", "shortened", "too_long")
