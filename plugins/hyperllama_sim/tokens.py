"""The tokenizer: up to four lowercase letters, with the space before them, or one character. Every text has one
tokenisation, every sequence of ids one text, and no token splits a code point."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

LONGEST = 5  # characters of a token, at most
_SLICE = 64 * 1024  # characters that one call into C splits

_PIECE = re.compile(r" ?[a-z]{1,4}|.", re.DOTALL)
_LETTERS = 26 + 26**2 + 26**3 + 26**4
_CHARACTERS = 2 * _LETTERS + 1
VOCABULARY = _CHARACTERS + 0x110000


def pieces(text: str) -> list[str]:
    """Return the tokens' texts. Other threads run between two slices of a long text."""
    if len(text) <= _SLICE:
        return _PIECE.findall(text)
    return [piece for part in _slices(text) for piece in part]


def _slices(text: str) -> Iterator[list[str]]:
    """Yield the pieces of ``text`` in parts, each found by one call into C."""
    at = 0
    while at < len(text):
        found: list[str] = _PIECE.findall(text, at, at + _SLICE)
        if at + _SLICE < len(text):
            found.pop()  # may go on in the next slice
        at += sum(map(len, found))
        yield found


def encode(text: str) -> tuple[int, ...]:
    """Return the tokens' ids."""
    return tuple(map(token_id, pieces(text)))


def token_id(piece: str) -> int:
    letters = piece.removeprefix(" ")
    if not ("a" <= letters[:1] <= "z"):
        return _CHARACTERS + ord(piece)
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 96
    return number if letters is piece or len(letters) == len(piece) else _LETTERS + number


def decode(ids: Iterable[int]) -> str:
    """Return the text of ``ids``. Raise ValueError for one outside the vocabulary."""
    return "".join(texts(ids))


def texts(ids: Iterable[int]) -> Iterator[str]:
    """Yield the text of each id. Raise ValueError for one outside the vocabulary."""
    return map(_piece, ids)


def _piece(id: int) -> str:
    if id == 0:  # the end of an answer
        return ""
    if not 0 < id < VOCABULARY:
        raise ValueError(f"token id {id} is outside the vocabulary of {VOCABULARY}")
    if id >= _CHARACTERS:
        return chr(id - _CHARACTERS)
    space, number = (" ", id - _LETTERS) if id > _LETTERS else ("", id)
    letters = ""
    while number:
        number, digit = divmod(number - 1, 26)
        letters = chr(97 + digit) + letters
    return space + letters


__all__ = ("LONGEST", "VOCABULARY", "decode", "encode", "pieces", "texts", "token_id")
