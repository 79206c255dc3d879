"""The tokenizer: up to four lowercase letters, with the space before them, or one character. Every text has one
tokenisation, every sequence of ids one text, and no token splits a code point."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 5  # characters of a token, at most

_PIECE = re.compile(r" ?[a-z]{1,4}|.", re.DOTALL)
_LETTERS = 26 + 26**2 + 26**3 + 26**4
_CHARACTERS = 2 * _LETTERS + 1
VOCABULARY = _CHARACTERS + 0x110000


def pieces(text: str) -> list[str]:
    return _PIECE.findall(text)


def encode(text: str) -> tuple[int, ...]:
    return tuple(map(token_id, _PIECE.findall(text)))


def token_id(piece: str) -> int:
    letters = piece.removeprefix(" ")
    if not ("a" <= letters[:1] <= "z"):
        return _CHARACTERS + ord(piece)
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 96
    return number if letters is piece or len(letters) == len(piece) else _LETTERS + number


def decode(ids: Iterable[int]) -> str:
    """Raises ValueError for an id outside the vocabulary."""
    return "".join(map(_piece, ids))


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


__all__ = ("LONGEST", "VOCABULARY", "decode", "encode", "pieces", "token_id")
