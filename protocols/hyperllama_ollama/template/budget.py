"""The work that one prompt's template may cause, counted in bytes and steps; a template comes from any caller."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from hyperllama.errors import InvalidRequest

STEP = 400  # units; about the time in which as many bytes are copied and escaped
WORK = 48 * 2**20  # units of one prompt: 125,000 steps, or 48 MiB of text made, copied or compared
SMALL_WORK = 2**20  # units that the event loop can spare
SECONDS = 1.0  # of the thread's own time, so that a busy machine refuses nothing
PIECE = 4 * 2**20  # characters that one function may make in one go, while no other thread runs

_LOOK = 256  # spendings between two looks at the clock


class TooMuchWork(InvalidRequest):
    """The template asks for more than this server does for a prompt. Not Ollama's: it has no such bounds."""


def too_much(what: str) -> TooMuchWork:
    """Return the refusal for a bound of ours, worded like Go's errors."""
    return TooMuchWork(f"template: :1: {what}", param="template")


class Budget:
    """The units and seconds that are left. One for all renderings of a prompt; used in one thread."""

    __slots__ = ("_deadline", "_left", "_until_look")

    def __init__(self, units: int = WORK, seconds: float = SECONDS) -> None:
        self._left = units
        self._until_look = _LOOK
        self._deadline = time.thread_time() + seconds

    @classmethod
    def small(cls) -> Budget:
        """Return what may be spent on the event loop: some milliseconds."""
        return cls(SMALL_WORK)

    def spend(self, units: int) -> None:
        """Take ``units`` before the work is done. Raise TooMuchWork when none are left."""
        self._left -= units
        self._until_look -= 1
        if self._until_look <= 0:
            self._until_look = _LOOK
            if time.thread_time() > self._deadline:
                self._left = -1
        if self._left < 0:
            raise too_much("too much work for a template")

    def step(self) -> None:
        """Take one step: a node that is rendered, an expression that is computed, a turn of a loop."""
        self.spend(STEP)

    def read(self, value: Any) -> int:
        """Take the size of ``value`` and return it: the characters in it, and some for each member."""
        size = 0
        waiting = [value]
        while waiting:
            found = waiting.pop()
            taken = 8
            if isinstance(found, str):
                taken += len(found)
            elif isinstance(found, Mapping):
                taken += 16 * len(found)
                waiting.extend(found.values())
            elif isinstance(found, Sequence):
                taken += 16 * len(found)
                waiting.extend(found)
            self.spend(taken)
            size += taken
        return size


__all__ = ("PIECE", "SECONDS", "SMALL_WORK", "STEP", "WORK", "Budget", "TooMuchWork", "too_much")
