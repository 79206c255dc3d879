"""A parsed template: what is written, and what is computed."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.errors import Failure

LONGEST_SHOWN = 80  # characters of a template in an error


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
    """Return the refusal of a template that cannot be used, in the manner of Go's messages."""
    return Failure(f"template: :1: {what}", param="template")


def shown(text: str) -> str:
    """Return ``text`` for an error: quoted as Go quotes, the beginning of it where it is long."""
    return quote(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...")


__all__ = (
    "LONGEST_SHOWN",
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
    "shown",
)
