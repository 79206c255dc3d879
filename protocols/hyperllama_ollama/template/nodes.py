"""A parsed template: what is written, and what is computed."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from hyperllama_ollama.errors import Failure


class Constant(msgspec.Struct, frozen=True):
    value: str | int | float | bool | None


class Field(msgspec.Struct, frozen=True):
    """``path`` from ``root``: ``.`` (the dot), ``$`` (the whole), the name of a variable, or another expression."""

    root: str | Expression
    path: tuple[str, ...] = ()


class Call(msgspec.Struct, frozen=True):
    name: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Constant | Field | Call


class Text(msgspec.Struct, frozen=True):
    text: str


class Write(msgspec.Struct, frozen=True):
    value: Expression


class Assign(msgspec.Struct, frozen=True):
    """``declares``: a new variable of this block; otherwise the nearest one of that name changes."""

    name: str
    value: Expression
    declares: bool


class Choose(msgspec.Struct, frozen=True):
    """``if`` and ``with``; the latter makes the value the dot inside."""

    value: Expression
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...] = ()
    is_dot: bool = False


class Range(msgspec.Struct, frozen=True):
    value: Expression
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...] = ()
    index: str = ""
    item: str = ""


class Leave(msgspec.Struct, frozen=True):
    """``break``, or ``continue``."""

    again: bool


Node: TypeAlias = Text | Write | Assign | Choose | Range | Leave


def bad(what: str) -> Failure:
    """A template that cannot be used, in the manner of Go's messages."""
    return Failure(f"template: :1: {what}", param="template")


__all__ = (
    "Assign",
    "Call",
    "Choose",
    "Constant",
    "Expression",
    "Field",
    "Leave",
    "Node",
    "Range",
    "Text",
    "Write",
    "bad",
)
