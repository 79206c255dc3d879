"""Bounds of a body, counted before anything is built: each container costs many times its bytes of JSON."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from hyperllama.config import BodyLimits
from hyperllama.errors import InvalidRequest

Counted: TypeAlias = Literal["messages", "images", "inputs", "tools", "tool_calls"]

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_INSIDE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_PIECE = 128 * 1024  # bytes looked at in one go, while no other thread runs


class Counts:
    """Elements of one body by kind. Each list is counted before its elements are read."""

    __slots__ = ("_found", "_limits")

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._found: dict[Counted, int] = {}

    def add(self, kind: Counted, count: int) -> None:
        """Raise InvalidRequest when the body holds more than ``[body]`` allows."""
        found = self._found[kind] = self._found.get(kind, 0) + count
        most: int = getattr(self._limits, kind)
        if found > most:
            noun = kind.replace("_", " ")
            raise InvalidRequest(f"{kind} holds too much: at most {most} {noun} are allowed in one request", param=kind)


def check(raw: bytes, limits: BodyLimits) -> None:
    """Raise InvalidRequest for more containers or values than ``[body]`` allows. Linear, and quick for plain text."""
    most_containers, most_values = limits.containers, limits.values
    if raw.count(b"{") + raw.count(b"[") <= most_containers and raw.count(b",") <= most_values:
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
        if containers > most_containers or values > most_values:
            raise InvalidRequest("the request body holds too many values")
        inside = quote != b""
        rest = text[_INSIDE.match(text).end() :]  # type: ignore[union-attr]


__all__ = ("Counted", "Counts", "check")
