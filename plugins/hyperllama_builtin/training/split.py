"""The split between training, development and test, by template and by value; nothing crosses it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Literal

__all__ = ("Side", "draw", "side_of", "templates")

Side = Literal["train", "dev", "test"]


def side_of(value: str) -> Side:
    """Where a value (a name, a number, a pair of summands) belongs: eight of ten train."""
    bucket = zlib.crc32(value.lower().encode()) % 10
    return "test" if bucket == 9 else "dev" if bucket == 8 else "train"


def draw(side: Side, make: Callable[[], str]) -> str:
    """Call ``make`` until its value falls on ``side``."""
    while True:
        value = make()
        if side_of(value) == side:
            return value


def templates(table: tuple[str, ...], side: Side) -> tuple[str, ...]:
    """The share of a table of phrasings: of every eight the last is for test, the one before for dev.

    A shorter table gives its last to test and the one before to dev.
    """
    if len(table) < 8:
        return {"train": table[:-2], "dev": table[-2:-1], "test": table[-1:]}[side]
    wanted = {"train": range(6), "dev": range(6, 7), "test": range(7, 8)}[side]
    return tuple(phrase for index, phrase in enumerate(table) if index % 8 in wanted)
