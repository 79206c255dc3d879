"""A tool before its names are chosen, so that one request can meet many definitions."""

from __future__ import annotations

from dataclasses import dataclass

from hyperllama_builtin.training.values import Maker

__all__ = ("Gadget", "Parameter")


@dataclass(frozen=True)
class Parameter:
    """``names`` are what its JSON key may be called."""

    names: tuple[str, ...]
    kind: str
    make: Maker


@dataclass(frozen=True)
class Gadget:
    """Slots in ``prompts`` and ``reply`` are keys of ``parameters`` or ``results``; both hold ``split`` patterns."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    parameters: dict[str, Parameter]
    prompts: tuple[str, ...]
    results: dict[str, Maker]
    reply: str
