"""Masks of the tokens that keep an answer valid UTF-8, since grammars let some invalid byte sequences through."""

from __future__ import annotations

from typing import Any, Final

from hyperllama_max.vocabulary import Vocabulary

START: Final = 0
INVALID: Final = -1
#: From a state, by the ranges a byte may lie in, to the next state. Unicode's own table of well-formed sequences.
_NEXT: Final[tuple[tuple[tuple[int, int, int], ...], ...]] = (
    ((0x00, 0x7F, 0), (0xC2, 0xDF, 1), (0xE0, 0xE0, 2), (0xE1, 0xEC, 3), (0xED, 0xED, 4), (0xEE, 0xEF, 3),
     (0xF0, 0xF0, 5), (0xF1, 0xF3, 6), (0xF4, 0xF4, 7)),
    ((0x80, 0xBF, 0),),
    ((0xA0, 0xBF, 1),),
    ((0x80, 0xBF, 1),),
    ((0x80, 0x9F, 1),),
    ((0x90, 0xBF, 3),),
    ((0x80, 0xBF, 3),),
    ((0x80, 0x8F, 3),),
)  # fmt: skip


def advance(state: int, data: bytes) -> int:
    """Return the state after ``data``; INVALID when it cannot be part of UTF-8 text there."""
    if state == START and data.isascii():
        return START
    for byte in data:
        state = next((after for low, high, after in _NEXT[state] if low <= byte <= high), INVALID)
        if state == INVALID:
            return INVALID
    return state


class Utf8Masks:
    """Bit masks over the vocabulary, one for each state, made when first needed."""

    def __init__(self, vocabulary: Vocabulary, words: int, always: frozenset[int]) -> None:
        """Take ``words`` of 32 bits in a mask; ``always`` are the allowed tokens that end an answer."""
        self._vocabulary = vocabulary
        self._words = words
        self._always = always
        self._masks: dict[int, Any] = {}

    def mask(self, state: int) -> Any:
        """Return an int32 array with a bit for each token that may follow."""
        found = self._masks.get(state)
        if found is None:
            found = self._masks[state] = self._make(state)
        return found

    def after(self, state: int, token: int) -> int:
        following = advance(state, self._vocabulary.text_of(token))
        return START if following == INVALID else following

    def _make(self, state: int) -> Any:
        import numpy as np

        text_of = self._vocabulary.text_of
        allowed = np.zeros(self._words * 32, np.uint8)
        for number in range(min(self._vocabulary.size, self._words * 32)):
            if number in self._always or advance(state, text_of(number)) != INVALID:
                allowed[number] = 1
        return np.packbits(allowed, bitorder="little").view(np.int32)


__all__ = ("INVALID", "START", "Utf8Masks", "advance")
