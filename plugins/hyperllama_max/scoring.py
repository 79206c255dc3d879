"""Log-probabilities of a prompt: its tokens are forced one by one, and read from the logits of each step.

MAX gives logits of every prompt token only from a graph compiled for it, not of those its cache already held, and not
together with chunked prefill. Writing the prompt costs a step a token, on any model as it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import Sampling, TokenLogprob, TopLogprob
from hyperllama_max.sampling import BANNED, Limits

Spelled = Callable[[int, float], tuple[str, float, int, bytes]]


class Scoring:
    """The scores of one prompt. ``ids[1:]`` come before the answer; filled on the main thread, read by the other."""

    def __init__(self, ids: list[int], top: int) -> None:
        self._ids = ids
        self._top = top
        self._rows: list[tuple[float, list[tuple[int, float]]]] = []
        self._left = len(ids) - 1

    def __call__(self, inputs: Any) -> None:
        """Record the logits and force the prompt's next token, as a logits processor of MAX."""
        import numpy as np

        place = len(inputs.context.tokens)
        if place >= len(self._ids):
            return
        row = inputs.logits.to_numpy()[-1]
        token = self._ids[place]
        if place == len(self._rows) + 1:  # a step may be run again
            shifted = row.astype(np.float64) - float(row.max())
            likely = shifted - math.log(float(np.exp(shifted).sum()))
            best = np.argpartition(-likely, range(self._top))[: self._top] if self._top else ()
            self._rows.append((float(likely[token]), [(int(number), float(likely[number])) for number in best]))
        row[:] = BANNED
        row[token] = 0.0

    def written(self, tokens: list[int]) -> list[int]:
        """Return the part of ``tokens`` that is the answer's; the rest belongs to the prompt."""
        mine = tokens[self._left :]
        self._left = max(0, self._left - len(tokens))
        return mine

    @property
    def done(self) -> bool:
        return not self._left

    def logprobs(self, spelled: Spelled) -> tuple[TokenLogprob, ...]:
        """Return a log-probability for each token of the prompt; the first one is nan."""
        found = [TokenLogprob(*spelled(self._ids[0], math.nan))]
        for token, (logprob, top) in zip(self._ids[1:], self._rows, strict=True):
            likeliest = tuple(TopLogprob(*spelled(number, value)) for number, value in top)
            found.append(TokenLogprob(*spelled(token, logprob), likeliest))
        return tuple(found)


def scoring(asked: Sampling, ids: list[int], limits: Limits, ends: frozenset[int]) -> Scoring | None:
    """Return the scoring of a request; None if it wants none. Raise UnsupportedFeature."""
    if not asked.prompt_logprobs or asked.logprobs is None:
        return None
    if not limits.host_logits:
        raise UnsupportedFeature("MAX gives no log-probabilities of a prompt on GPUs.", param="echo")
    if not ends.isdisjoint(ids[1:]):
        raise UnsupportedFeature("A prompt that holds an end of sequence has no log-probabilities here.", param="echo")
    return Scoring(ids, asked.logprobs)


def begun(asked: Sampling, written: int) -> Sampling:
    """Return ``asked`` with its minimum raised by the ``written`` tokens of the prompt that precede the answer."""
    return asked if not asked.min_tokens else msgspec.structs.replace(asked, min_tokens=asked.min_tokens + written)


__all__ = ("Scoring", "begun", "scoring")
