"""Model files with faults: whatever is wrong with them is said in a sentence, and quickly. Nothing here needs MAX."""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec
from hyperllama_max.describe import describe
from tests.support.asking_max import CHAT
from tests.support.costs import only_new_garbage
from tests.support.gguf_files import lone

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
def test_r17_two_hundred_faults_are_each_said_in_a_sentence_and_leave_nothing(
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
    place = path if form == "gguf" else folder
    broken = []
    for _ in range(34):  # of each kind and form: more than two hundred
        path.write_bytes(kind(whole, chance))
        began = time.monotonic()
        if error := refusal(place):
            broken.append(path.read_bytes())
            assert len(error) < 600
        assert time.monotonic() - began < 5
    assert broken
    assert growth(lambda: refusal(place), lambda: path.write_bytes(chance.choice(broken))) < 1024


def refusal(place: Path) -> str:
    try:
        describe(ModelSpec(name="m"), place)
    except ConfigError as error:
        return str(error)
    return ""


def growth(work: Callable[[], object], before_each: Callable[[], object]) -> float:
    """Bytes that Python keeps of each of some thirty repeats: the least of ten steps, as other threads allocate too."""
    points = []
    with only_new_garbage():
        tracemalloc.start()
        try:
            for _ in range(11):
                for _ in range(3):
                    before_each()
                    work()
                gc.collect()
                points.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    return min(late - early for early, late in pairwise(points)) / 3


def test_a_planted_leak_is_seen() -> None:
    kept: list[bytes] = []
    assert growth(lambda: kept.append(bytes(4096)), lambda: None) > 2048
