"""Bounds of a body, counted before anything is built: each container costs many times its bytes of JSON."""

from __future__ import annotations

from typing import Literal, TypeAlias

from hyperllama.config import BodyLimits
from hyperllama.errors import InvalidRequest
from hyperllama.web import json_excess

Counted: TypeAlias = Literal["messages", "images", "inputs", "tools", "tool_calls"]


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
    """Raise InvalidRequest for more than ``[body]`` allows of JSON. Linear, and quick for plain text."""
    if json_excess(raw, limits):
        raise InvalidRequest("the request body holds too many values")


__all__ = ("Counted", "Counts", "check")
