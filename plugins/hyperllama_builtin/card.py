"""The machine-readable card of a built-in model, and the check of its folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

__all__ = ("Figure", "ModelCard", "read_card", "verify", "write_card")


class Figure(msgspec.Struct, frozen=True):
    """A row of the evaluation table."""

    what: str
    count: int
    score: float
    wanted: float


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of ``card.json``: the folder's files and the model's figures."""

    name: str
    task: Literal["chat", "embedding"]
    architecture: str
    parameters: int
    context: int
    licence: str = "Apache-2.0"
    purpose: str = "Trying the gateway and testing it; too small for real work."
    seed: int
    training_minutes: float = 0.0
    training_tokens: int = 0
    #: What a reader should know besides; empty: nothing.
    note: str = ""
    #: sha256 of every other file in the folder that the engine reads.
    checksums: dict[str, str]
    #: None: not evaluated yet.
    evaluation: tuple[Figure, ...] | None = None


def read_card(folder: Path) -> ModelCard:
    """Return the card of ``folder``. Raise a ValueError that names its fault."""
    try:
        return _CARDS.decode((folder / "card.json").read_bytes())
    except FileNotFoundError as error:
        raise ValueError(f"The model folder {folder} has no card.json.") from error
    except msgspec.DecodeError as error:
        raise ValueError(f"The card.json in {folder} is corrupt: {error}.") from error


def write_card(folder: Path, card: ModelCard) -> None:
    """Write ``card.json`` with the checksums of the present files."""
    names = sorted(path.name for path in folder.iterdir() if path.name in _FILES)
    card = msgspec.structs.replace(card, checksums={name: _sha256(folder / name) for name in names})
    text = msgspec.json.format(msgspec.json.encode(card), indent=2)
    (folder / "card.json").write_bytes(text + b"\n")


def verify(folder: Path) -> None:
    """Raise a ValueError unless every file that the card lists is there and unchanged."""
    for name, wanted in read_card(folder).checksums.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(
                f"The built-in model {folder.name} is incomplete: {name} is missing; reinstall the package."
            )
        if _sha256(path) != wanted:
            raise ValueError(
                f"The built-in model {folder.name} is corrupt: {name} does not match the checksum"
                " in its card; reinstall the package."
            )


_CARDS = msgspec.json.Decoder(ModelCard)
_FILES = frozenset(
    {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
