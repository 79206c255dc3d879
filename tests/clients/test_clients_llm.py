"""The ``llm`` command with its own OpenAI-compatible models and with its Ollama plugin."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llm", reason="the [clients] extra is not installed")


def run(folder: Path, *arguments: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "llm", *arguments],
        env={**os.environ, "LLM_USER_PATH": str(folder), "PYTHONWARNINGS": "ignore", **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_command_over_openai(gateway: Any, tmp_path: Path) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: tiny\n  model_name: {gateway.chat}\n  api_base: {gateway.v1}\n  api_key_name: none\n"
    )
    (tmp_path / "keys.json").write_text('{"none": "none"}')
    asked = ("-m", "tiny", "Hello", "-o", "max_tokens", "16", "-o", "temperature", "0")
    streamed, whole = run(tmp_path, *asked), run(tmp_path, *asked, "--no-stream")
    assert streamed == whole != ""


def test_the_command_over_ollama(gateway: Any, tmp_path: Path) -> None:
    if importlib.util.find_spec("llm_ollama") is None:
        pytest.skip("the [clients] extra is not installed")
    assert gateway.chat in run(tmp_path, "ollama", "models", OLLAMA_HOST=gateway.url)
    asked = ("-m", f"ollama/{gateway.chat}", "Hello", "-o", "num_predict", "16")
    assert run(tmp_path, *asked, OLLAMA_HOST=gateway.url)
