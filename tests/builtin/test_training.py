"""A few seconds of training write a whole folder that can be gone on from; needs the extra ``[train]``."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from hyperllama_builtin.card import read_card, verify
from hyperllama_builtin.models import CHAT_MODEL, EMBED_MODEL
from hyperllama_builtin.training.__main__ import main


def test_a_short_run_writes_both_folders_and_resumes(tmp_path: Path) -> None:
    assert main(["--minutes", "0.1", "--out", str(tmp_path)]) == 0
    for name in (CHAT_MODEL, EMBED_MODEL):
        verify(tmp_path / name)
        assert (tmp_path / name / "curve.svg").read_text(encoding="utf-8").startswith("<svg")
    before = read_card(tmp_path / CHAT_MODEL)
    assert main(["--minutes", "0.05", "--only", CHAT_MODEL, "--resume", "--seed", "8", "--out", str(tmp_path)]) == 0
    after = read_card(tmp_path / CHAT_MODEL)
    assert after.training_tokens > before.training_tokens
    assert after.checksums["tokenizer.json"] == before.checksums["tokenizer.json"]
    assert after.checksums["model.safetensors"] != before.checksums["model.safetensors"]
