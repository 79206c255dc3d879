"""The split between training, development and test, by template and by value; nothing crosses it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Literal

__all__ = ("Side", "draw", "phrase", "side_of", "spelling", "spellings", "templates")

Side = Literal["train", "dev", "test"]


def side_of(value: str) -> Side:
    """Return the side of a value (a name, a number, a pair of summands): eight of ten are for training."""
    bucket = zlib.crc32(value.lower().encode()) % 10
    return "test" if bucket == 9 else "dev" if bucket == 8 else "train"


def draw(side: Side, make: Callable[[], str]) -> str:
    """Call ``make`` until its value falls on ``side``."""
    while True:
        value = make()
        if side_of(value) == side:
            return value


def templates(table: tuple[str, ...], side: Side) -> tuple[str, ...]:
    """Return ``side``'s part of a table of phrasings: of every eight the last is for test, the one before for dev.

    A shorter table gives its last to test and the one before to dev.
    """
    if len(table) < 8:
        return {"train": table[:-2], "dev": table[-2:-1], "test": table[-1:]}[side]
    wanted = {"train": range(6), "dev": range(6, 7), "test": range(7, 8)}[side]
    return tuple(phrase for index, phrase in enumerate(table) if index % 8 in wanted)


def phrase(rng: Random, table: tuple[str, ...], side: Side) -> str:
    """Return a spelling of one of ``side``'s phrasings, never one that is held out from it."""
    taken = _held_out(table, side)
    choices = templates(table, side)
    while True:
        text = spelling(rng, rng.choice(choices))
        if _plain(text) not in taken:
            return text


def spelling(rng: Random, pattern: str) -> str:
    """Return a text that a pattern stands for, with one choice of each ``[one|or|another]``; brackets may nest."""
    while "[" in pattern:
        pattern = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), pattern)
    return pattern


def spellings(pattern: str) -> set[str]:
    """Return all texts that a pattern stands for."""
    found = _CHOICE.search(pattern)
    if found is None:
        return {pattern}
    before, after = pattern[: found.start()], pattern[found.end() :]
    return {text for option in found[1].split("|") for text in spellings(before + option + after)}


_CHOICE = re.compile(r"\[([^\[\]]*)\]")


@cache
def _held_out(table: tuple[str, ...], side: Side) -> frozenset[str]:
    """Return the texts held out from ``side``: those of dev and test from train, those of test from dev."""
    sides: dict[Side, tuple[Side, ...]] = {"train": ("dev", "test"), "dev": ("test",), "test": ()}
    others = (pattern for other in sides[side] for pattern in templates(table, other))
    return frozenset(_plain(text) for pattern in others for text in spellings(pattern))


def _plain(text: str) -> str:
    return text.lower().strip(" .?!")
