"""An endless sequence of words, the same for the same seed on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from hyperllama_sim.tokens import pieces

_TEXT = (
    "the a one this every some no each model token stream request answer client server batch queue key word line "
    "window river stone garden harbour letter number signal bridge paper street morning evening winter summer north "
    "opens waits turns holds finds keeps sends makes takes reads moves joins calls shows gives meets "
    "and or but with under over near after before while because so then also always never"
)
_WORDS = tuple(_TEXT.split())
_LOWER = tuple(tuple(pieces(f" {word}")) for word in _WORDS)
_FIRST = tuple(tuple(pieces(f" {word.capitalize()}")) for word in _WORDS)
_SENTENCE = 9


def words(seed: bytes) -> Iterator[str]:
    """Yield the tokens of an endless text in sentences."""
    yield from pieces(word(seed).capitalize())
    count = 1
    block = seed
    while True:
        block = hashlib.blake2b(block).digest()
        for byte in block:
            if count % _SENTENCE == 0:
                yield "."
                yield from _FIRST[byte % len(_FIRST)]
            else:
                yield from _LOWER[byte % len(_LOWER)]
            count += 1


def word(seed: bytes) -> str:
    return _WORDS[seed[0] % len(_WORDS)]


def seed_of(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=32).digest()


__all__ = ("seed_of", "word", "words")
