"""Counts of a parsed request body against ``[body]``: one walk, before anything is made of the body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from hyperllama.config import BodyLimits
from hyperllama.errors import InvalidRequest

#: Where a body holds what is counted: a path such as ``"messages.content"``, and the fields of BodyLimits that bound
#: it. A field that ends in ``_bytes`` bounds strings there, any other one arrays and objects.
Countable: TypeAlias = Mapping[str, str | tuple[str, ...]]
#: Makes the refusal in a dialect's words: the field, and a sentence's predicate ("holds 3 tools; at most ...").
TooMany: TypeAlias = Callable[[str, str], InvalidRequest]

_NOUNS = {
    "messages": "messages or items",
    "parts": "content parts",
    "inputs": "inputs",
    "tools": "tools",
    "tool_calls": "tool calls",
    "images": "images",
    "stops": "stop sequences",
    "biases": "biased tokens",
    "choices": "options",
}


class BodyCounter:
    """The bounds of one dialect. Immutable; shared by threads."""

    def __init__(self, fields: Countable, limits: BodyLimits, too_many: TooMany) -> None:
        """Compile ``fields``, which names every place that is counted. All places of one bound count together."""
        self._root = _Node()
        for path, bounds in fields.items():
            node = self._root
            for name in path.split("."):
                node = node.children.setdefault(name, _Node())
            for bound in (bounds,) if isinstance(bounds, str) else bounds:
                getattr(limits, bound)  # a wrong name fails at the start
                if bound.endswith("_bytes"):
                    node.bytes = bound
                else:
                    node.count = bound
        self._limits = limits
        self._too_many = too_many

    def check(self, body: object) -> None:
        """Walk ``body`` once, in time linear in its size. Raise the dialect's refusal at the first bound passed."""
        if isinstance(body, dict):
            self._members(body, self._root, "", {})

    def _members(self, body: Mapping[str, object], node: _Node, path: str, totals: dict[str, int]) -> None:
        for name, child in node.children.items():
            value = body.get(name)
            if value is not None:
                self._value(value, child, f"{path}.{name}" if path else name, totals)

    def _value(self, value: object, node: _Node, path: str, totals: dict[str, int]) -> None:
        match value:
            case str():
                self._add(node.bytes, len(value), path, totals)
            case dict():
                self._add(node.count, len(value), path, totals)
                if node.bytes:
                    self._elements(value, node, path, totals)
                self._members(value, node, path, totals)
            case list():
                if not (value and isinstance(value[0], int)):  # numbers are token ids: one input
                    self._add(node.count, len(value), path, totals)
                self._elements(value, node, path, totals)

    def _elements(self, values: Iterable[object], node: _Node, path: str, totals: dict[str, int]) -> None:
        members = bool(node.children)
        for value in values:
            if isinstance(value, str):
                self._add(node.bytes, len(value), path, totals)
            elif members and isinstance(value, dict):
                self._members(value, node, path, totals)

    def _add(self, bound: str, amount: int, path: str, totals: dict[str, int]) -> None:
        if not bound:
            return
        total = totals[bound] = totals.get(bound, 0) + amount
        limit: int = getattr(self._limits, bound)
        if total > limit:
            noun = "characters" if bound.endswith("_bytes") else _NOUNS.get(bound, bound)
            raise self._too_many(path, f"holds too much: at most {limit} {noun} are allowed in one request")


class _Node(msgspec.Struct):
    count: str = ""
    bytes: str = ""
    children: dict[str, _Node] = {}


__all__ = ("BodyCounter", "Countable", "TooMany")
