"""The folders are whole, small, and refused when they are not whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hyperllama.errors import LoadFailed
from hyperllama_builtin.card import read_card
from hyperllama_builtin.models import BUILTIN, BuiltinModel, verify
from hyperllama_builtin.source import BuiltinSource

CHAT, EMBED = BUILTIN
FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


@pytest.mark.parametrize("model", BUILTIN, ids=lambda model: model.name)
def test_a_shipped_folder_is_whole_and_its_card_lists_every_file(model: BuiltinModel) -> None:
    verify(model.folder)
    assert set(model.card.checksums) >= FILES
    assert model.card.name == model.name
    assert {"CARD.md", "curve.svg"} <= {path.name for path in model.folder.iterdir()}


def test_the_chat_model_is_small_and_its_context_long_enough() -> None:
    assert CHAT.card.parameters <= 3_000_000
    assert CHAT.card.context >= 1_024
    assert (CHAT.folder / "model.safetensors").stat().st_size <= 8_000_000


def test_the_encoder_is_small() -> None:
    assert (EMBED.folder / "model.safetensors").stat().st_size <= 2_000_000


@pytest.mark.parametrize("model", BUILTIN, ids=lambda model: model.name)
def test_nothing_in_a_folder_is_a_pickle(model: BuiltinModel) -> None:
    assert {path.suffix for path in model.folder.iterdir()} <= {".json", ".md", ".safetensors", ".svg"}
    header = (model.folder / "model.safetensors").read_bytes()
    json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHAT.folder, tmp_path / CHAT.name))


def test_a_changed_byte_is_refused_by_name(copied: Path) -> None:
    path = copied / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"hyperllama-tiny is corrupt: model\.safetensors does not match"):
        verify(copied)


async def test_a_corrupt_folder_is_not_handed_to_an_engine(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copied / "model.safetensors").write_bytes(b"\x00" * 16)
    monkeypatch.setattr("hyperllama_builtin.source.BUILTIN", (BuiltinModel(CHAT.name, copied),))
    with pytest.raises(LoadFailed, match=r"model\.safetensors does not match the checksum"):
        await BuiltinSource().fetch(CHAT.name, lambda *_: None)


def test_a_missing_file_is_refused_by_name(copied: Path) -> None:
    (copied / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"hyperllama-tiny is incomplete: tokenizer\.json is missing"):
        verify(copied)


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no card\.json"):
        verify(tmp_path)


def test_a_card_that_is_no_card_is_refused(copied: Path) -> None:
    (copied / "card.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"card\.json in .* is corrupt"):
        read_card(copied)
