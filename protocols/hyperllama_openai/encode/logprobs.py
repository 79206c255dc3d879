"""Log-probabilities in chat's form and in the completions' older one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from hyperllama.generation import TokenChunk, TokenLogprob
from hyperllama_openai.wire import chat, completions

_LEAST = -9999.0  # OpenAI's stand-in for minus infinity, which JSON has not


def content(found: Sequence[TokenLogprob]) -> chat.Logprobs:
    return chat.Logprobs(
        [
            chat.TokenLogprob(
                item.token,
                finite(item.logprob),
                list(item.bytes),
                [chat.TopLogprob(top.token, finite(top.logprob), list(top.bytes)) for top in item.top],
            )
            for item in found
        ]
    )


def of_content(chunk: TokenChunk) -> TokenChunk:
    """Return ``chunk`` with log-probabilities only if they are of its answer: thoughts and calls are no content."""
    if chunk.logprobs and not chunk.text and (chunk.reasoning or chunk.tool_calls):
        return replace(chunk, logprobs=())
    return chunk


class Offsets:
    """The place of each token in the text, across the chunks of one choice, as the completions' form has it."""

    __slots__ = ("_at", "_top")

    def __init__(self, *, start: int, top: bool) -> None:
        self._at = start
        self._top = top

    def spell(self, found: Sequence[TokenLogprob]) -> completions.Logprobs:
        offsets = []
        for item in found:
            offsets.append(self._at)
            self._at += len(item.token)
        return completions.Logprobs(
            [item.token for item in found],
            [None if math.isnan(item.logprob) else finite(item.logprob) for item in found],
            [_top(item) for item in found] if self._top else None,
            offsets,
        )


def _top(item: TokenLogprob) -> dict[str, float] | None:
    return None if math.isnan(item.logprob) else {top.token: finite(top.logprob) for top in item.top}


def finite(value: float) -> float:
    return value if math.isfinite(value) else _LEAST


__all__ = ("Offsets", "content", "finite", "of_content")
