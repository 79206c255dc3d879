"""Model files with faults: whatever is wrong with them is said in a sentence, and quickly. Nothing here needs MAX."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from asking_max import CHAT
from gguf_files import lone

from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec
from hyperllama_max.describe import describe

HEADER = 60_000  # bytes of the file in which its header is, about


def flipped(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 4, 64))):
        found[chance.randrange(min(len(data), HEADER))] ^= 1 << chance.randrange(8)
    return bytes(found)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.choice((0, 1, 4, 8, chance.randrange(len(data)), len(data) - 1))]


def lying(data: bytes, chance: random.Random) -> bytes:
    """A length, a count or a type that is something else."""
    at = chance.randrange(4, min(len(data), HEADER) - 8)
    lie = chance.choice((b"\xff" * 8, b"\0" * 8, (1 << 24).to_bytes(8, "little"), (1 << 40).to_bytes(8, "little")))
    return data[:at] + lie + data[at + 8 :]


KINDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flipped, cut, lying)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("form", ["gguf", "safetensors"])
def test_two_hundred_faults_are_each_said_in_a_sentence(
    form: str, kind: Callable[[bytes, random.Random], bytes], tmp_path: Path
) -> None:
    whole = lone(CHAT)[: HEADER * 2] if form == "gguf" else (CHAT / "model.safetensors").read_bytes()
    folder = tmp_path / "m"
    folder.mkdir()
    if form == "safetensors":
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((CHAT / name).read_bytes())
    path = folder / f"model.{form}"
    chance = random.Random(f"{form} {kind.__name__}")
    refused = 0
    for _ in range(34):  # of each kind and form: more than two hundred
        path.write_bytes(kind(whole, chance))
        try:
            describe(ModelSpec(name="m"), path if form == "gguf" else folder)
        except ConfigError as error:
            refused += 1
            assert len(str(error)) < 600
    assert refused > 0
