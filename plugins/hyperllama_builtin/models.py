"""The models that ship with the gateway and the folders they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hyperllama_builtin.card import ModelCard, read_card, verify

__all__ = ("BUILTIN", "CHAT_MODEL", "EMBED_MODEL", "BuiltinModel", "verify")

CHAT_MODEL = "hyperllama-tiny"
EMBED_MODEL = "hyperllama-tiny-embed"


@dataclass(frozen=True)
class BuiltinModel:
    """A model's name and its folder; the card is read on access."""

    name: str
    folder: Path

    @cached_property
    def card(self) -> ModelCard:
        """Return the folder's card. Raise ValueError when it cannot be read."""
        return read_card(self.folder)


_WEIGHTS = Path(__file__).parent / "weights"

BUILTIN: tuple[BuiltinModel, ...] = tuple(BuiltinModel(name, _WEIGHTS / name) for name in (CHAT_MODEL, EMBED_MODEL))
