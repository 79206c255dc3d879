"""A thread of the model's own for work that would hold up other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hyperllama.messages import Chat, Input, Prompt, PromptTokens

T = TypeVar("T")

LARGE = 8 * 1024  # characters, ids or messages that the event loop can spare the time for
_MESSAGE = 16  # characters that a message costs beside its text


class TokenizerThread:
    """A thread that starts on first use. Large work waits in line; small work is done at once."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "sim-tokenizer")

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """Return ``work()``; ``size`` is what it has to go through. Raise what it raises."""
        if size <= LARGE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Begin no more work. Do not wait for what runs."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def size_of(input: Input) -> int:
    """Return how much there is to go through, in characters."""
    match input:
        case Chat(messages=messages):
            if len(messages) * _MESSAGE > LARGE:
                return len(messages) * _MESSAGE
            return sum(_MESSAGE + len(message.text) for message in messages)
        case Prompt(text=text, suffix=suffix):
            return len(text) + len(suffix or "")
        case PromptTokens(ids=ids):
            return len(ids)


__all__ = ("LARGE", "TokenizerThread", "size_of")
