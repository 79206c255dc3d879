"""The mixture of dialogues that the chat model learns from, endless and decided by its seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, Turn
from hyperllama_builtin.training.echoes import echo_dialogue
from hyperllama_builtin.training.extraction import extraction_dialogue
from hyperllama_builtin.training.gateway import gateway_dialogue
from hyperllama_builtin.training.smalltalk import smalltalk_dialogue
from hyperllama_builtin.training.split import Side
from hyperllama_builtin.training.stories import story_dialogue
from hyperllama_builtin.training.sums import sum_dialogue
from hyperllama_builtin.training.tools import offer, tool_dialogue
from hyperllama_builtin.training.unknown import unknown_dialogue

__all__ = ("FIRST", "KINDS", "WEIGHTS", "dialogues")

KINDS: Mapping[str, Callable[[Random, Side], Dialogue]] = {
    "gateway": gateway_dialogue,
    "sums": sum_dialogue,
    "extraction": extraction_dialogue,
    "tools": tool_dialogue,
    "unknown": unknown_dialogue,
    "echoes": echo_dialogue,
    "smalltalk": smalltalk_dialogue,
    "stories": story_dialogue,
}
WEIGHTS: Mapping[str, float] = {
    "gateway": 0.18,
    "sums": 0.1,
    "extraction": 0.28,
    "tools": 0.33,
    "unknown": 0.05,
    "echoes": 0.03,
    "smalltalk": 0.015,
    "stories": 0.015,
}
#: The first lessons: copying is learnt soonest from plain repeating.
FIRST: Mapping[str, float] = {**WEIGHTS, "echoes": 0.5, "sums": 0.1}
_SYSTEM = (
    "You are a helpful assistant.",
    "You are hyperllama-tiny.",
    "Answer the question.",
    "Be brief.",
    "You are a friendly assistant. Answer in one sentence.",
    "You help people to use the gateway.",
    "You are a test model.",
    "Use the tools when they help.",
)


def dialogues(
    seed: int, *, weights: Mapping[str, float] = WEIGHTS, first: int = 0, side: Side = "train"
) -> Iterator[Dialogue]:
    """Yield dialogues without end: most of one exchange, some of several, with a system turn or idle tools.

    The ``first`` of them are first lessons.
    """
    rng = Random(seed)
    for number in count():
        now = FIRST if number < first else weights
        kinds, shares = tuple(now), tuple(now.values())
        dialogue = KINDS[rng.choices(kinds, shares)[0]](rng, side)
        chance = rng.random()
        if chance < 0.08:
            more = (KINDS[kind](rng, side) for kind in rng.choices(kinds, shares, k=rng.choice((1, 1, 2, 3, 8))))
            dialogue = _joined(dialogue, *more)
        elif chance < 0.12 and not dialogue.tools and dialogue.kind != "unknown":
            dialogue = replace(dialogue, tools=offer(rng, side))
        if rng.random() < 0.08:
            dialogue = replace(dialogue, turns=(Turn("system", rng.choice(_SYSTEM)), *dialogue.turns))
        yield dialogue


def _joined(*parts: Dialogue) -> Dialogue:
    """Return the parts as one conversation; those with tools are left out unless they come first."""
    kept = [part for index, part in enumerate(parts) if index == 0 or not part.tools]
    return replace(kept[0], turns=tuple(turn for part in kept for turn in part.turns))
