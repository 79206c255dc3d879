"""Prompts in the form the model sees."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.errors import ContextTooLong, InvalidRequest
from hyperllama.messages import Chat, Input, Prompt, PromptTokens
from hyperllama_sim import tokens


def render(input: Input, system: str | None = None) -> str:
    """Return the prompt text; ``system`` goes before messages that have no system message of their own."""
    match input:
        case Chat(messages=messages, continue_last=continued, generation_prompt=prompted):
            lines = [f"{message.role}: {message.text}" for message in messages]
            if system and not any(message.role == "system" for message in messages):
                lines.insert(0, f"system: {system}")
            return "\n".join(lines if continued or not prompted else [*lines, "assistant:"])
        case Prompt(text=text, suffix=suffix):
            return text if suffix is None else f"{text}\0{suffix}"
        case PromptTokens(ids=ids):
            try:
                return tokens.decode(ids)
            except ValueError as error:
                raise InvalidRequest(str(error), param="input") from error


def count(input: Input, prompt: str, context: int, *, reserved: int = 1) -> int:
    """Return the number of the prompt's tokens. Raise ContextTooLong unless they leave ``reserved`` for an answer."""
    full = context - max(1, reserved)
    if isinstance(input, PromptTokens):
        found = len(input.ids)
    elif (found := -(-len(prompt) // tokens.LONGEST)) > full:  # seen without reading megabytes of it
        raise _too_long(f"at least {found}", context)
    else:
        found = len(tokens.pieces(prompt))
    if found > full:
        raise _too_long(str(found), context)
    return found


def ids(input: Input, prompt: str) -> tuple[int, ...]:
    return input.ids if isinstance(input, PromptTokens) else tokens.encode(prompt)


def tokenize(input: Input, system: str | None) -> tuple[int, ...]:
    return ids(input, render(input, system))


def detokenize(ids: Sequence[int]) -> str:
    """Return the text of ``ids``. Raise InvalidRequest for one outside the vocabulary."""
    try:
        return tokens.decode(ids)
    except ValueError as error:
        raise InvalidRequest(str(error), param="tokens") from error


def token_texts(ids: Sequence[int]) -> tuple[str, ...]:
    """Return the text of each token by itself. Raise InvalidRequest."""
    try:
        return tuple(tokens.texts(ids))
    except ValueError as error:
        raise InvalidRequest(str(error), param="tokens") from error


def _too_long(count: str, context: int) -> ContextTooLong:
    return ContextTooLong(
        f"the prompt has {count} tokens and the context holds {context}, the answer included", param="input"
    )


__all__ = ("count", "detokenize", "ids", "render", "token_texts", "tokenize")
