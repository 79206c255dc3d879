"""The refusal of a prompt that cannot fit, before a tokenizer has to read it."""

from __future__ import annotations

from hyperllama.errors import ContextTooLong
from hyperllama.messages import Chat, Input, Prompt, PromptTokens
from hyperllama.models import ModelInfo

_MOST = 8  # characters a token holds on average, at the very most


def check(value: Input, info: ModelInfo) -> None:
    """Raise ContextTooLong for an input that is too long by any tokenizer."""
    match value:
        case Chat(messages=messages):
            check_text(sum(len(message.text) + len(message.reasoning) for message in messages), info)
        case Prompt(text=text):
            check_text(len(text), info)
        case PromptTokens(ids=ids):
            if info.context_length and len(ids) > info.context_length:
                raise ContextTooLong(_sentence(f"it has {len(ids)} tokens", info))


def check_text(characters: int, info: ModelInfo) -> None:
    if info.context_length and characters > _MOST * info.context_length:
        raise ContextTooLong(_sentence(f"it has {characters} characters", info))


def _sentence(has: str, info: ModelInfo) -> str:
    return (
        f"This model's maximum context length is {info.context_length} tokens. "
        f"However, your prompt is too long: {has}. Please reduce its length."
    )


__all__ = ("check", "check_text")
