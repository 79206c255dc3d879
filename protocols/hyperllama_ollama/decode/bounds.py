"""How much a body may hold, counted before anything is built: each container costs many times its bytes of JSON."""

from __future__ import annotations

import re

from hyperllama.errors import InvalidRequest

MAX_CONTAINERS = 200_000  # objects and arrays
MAX_VALUES = 2**20  # a context of a million tokens is one value a token

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_INSIDE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_PIECE = 128 * 1024  # bytes looked at in one go, while no other thread runs


def check(raw: bytes) -> None:
    """Raise InvalidRequest for more containers or values than any client means. Linear, and quick for plain text."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_CONTAINERS and raw.count(b",") <= MAX_VALUES:
        return
    containers = values = 0
    inside, rest = False, b""
    for at in range(0, len(raw), _PIECE):
        piece = rest + raw[at : at + _PIECE]
        if inside:
            end = _INSIDE.match(piece).end()  # type: ignore[union-attr]  # matches everywhere, if only nothing
            inside = piece[end : end + 1] != b'"'
            if inside:
                rest = piece[end:]  # half of an escape
                continue
            piece = piece[end + 1 :]
        outside, quote, text = _STRING.sub(b"", piece).partition(b'"')
        containers += outside.count(b"{") + outside.count(b"[")
        values += outside.count(b",")
        if containers > MAX_CONTAINERS or values > MAX_VALUES:
            raise InvalidRequest("the request body holds too many values")
        inside = quote != b""
        rest = text[_INSIDE.match(text).end() :]  # type: ignore[union-attr]


__all__ = ("MAX_CONTAINERS", "MAX_VALUES", "check")
