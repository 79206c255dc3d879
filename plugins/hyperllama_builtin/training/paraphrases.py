"""Pairs of sentences that mean the same, for the encoder: same fact, same record or same request, other words."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from hyperllama_builtin.training.facts import FACTS
from hyperllama_builtin.training.gateway import ask
from hyperllama_builtin.training.made_up_tools import made_up_gadget
from hyperllama_builtin.training.records import RECORDS
from hyperllama_builtin.training.split import Side, phrase
from hyperllama_builtin.training.toolbox import TOOLBOX

__all__ = ("pairs", "retrieval_pairs")

_OTHER: dict[Side, Side] = {"train": "train", "dev": "train", "test": "dev"}


def pairs(seed: int) -> Iterator[tuple[str, str, str]]:
    """Yield training pairs without end, each with a key that is equal for pairs of the same meaning."""
    rng = Random(seed)
    while True:
        match rng.randrange(10):
            case 0 | 1 | 2 | 3:
                fact = rng.choice(FACTS)
                second = fact.answer if rng.random() < 0.2 else ask(rng, "train", fact)
                yield ask(rng, "train", fact), second, fact.key
            case 4 | 5 | 6:
                yield *_record_pair(rng, "train"), ""
            case _:
                yield *_request_pair(rng, "train"), ""


def retrieval_pairs(seed: int, count: int, side: Side) -> list[tuple[str, str]]:
    """Return ``count`` pairs of which no two mean the same: the first of each should find its second.

    For test, the templates and the values of a pair do not occur in training.
    """
    rng = Random(seed)
    facts = rng.sample(FACTS, count // 4)
    found = [(ask(rng, side, fact), ask(rng, _OTHER[side], fact)) for fact in facts]
    seen = {text for two in found for text in two}
    while len(found) < count:
        two = _record_pair(rng, side) if rng.random() < 0.6 else _request_pair(rng, side)
        if two[0] != two[1] and not seen & set(two):
            found.append(two)
            seen |= set(two)
    return found


def _record_pair(rng: Random, side: Side) -> tuple[str, str]:
    record = rng.choice(RECORDS)
    values = {key: make(rng, side) for key, make in record.fields.items()}
    return _filled(rng, record.sentences, values, side)


def _request_pair(rng: Random, side: Side) -> tuple[str, str]:
    gadget = made_up_gadget(rng, side) if rng.random() < 0.4 else rng.choice(TOOLBOX)
    values = {key: parameter.make(rng, side) for key, parameter in gadget.parameters.items()}
    return _filled(rng, gadget.prompts, values, side)


def _filled(rng: Random, table: tuple[str, ...], values: dict[str, object], side: Side) -> tuple[str, str]:
    first = second = phrase(rng, table, side)
    while second == first:
        second = phrase(rng, table, _OTHER[side])
    return first.format(**values), second.format(**values)
