"""The ``llm`` command with its own OpenAI-compatible models and with its Ollama plugin."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("llm", "llm_ollama")),
    reason="the [clients] extra is not installed",
)
FUNCTIONS = '''
def get_weather(city: str) -> str:
    """Get the weather in a city"""
    return "sunny in " + city
'''

Llm: TypeAlias = Callable[..., str]


@pytest.fixture
def llm(gateway: Any, tmp_path: Path) -> Llm:
    """Run the command, with nothing but this gateway to talk to; what it prints."""
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: tiny\n  model_name: {gateway.chat}\n  api_base: {gateway.v1}\n  api_key_name: none\n"
        "  supports_schema: true\n  supports_tools: true\n"
    )
    (tmp_path / "keys.json").write_text('{"none": "none"}')
    environ = {"LLM_USER_PATH": str(tmp_path), "OLLAMA_HOST": gateway.url, "PYTHONWARNINGS": "ignore"}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "llm", *arguments],
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(params=["openai", "ollama"])
def model(request: pytest.FixtureRequest, gateway: Any) -> tuple[str, ...]:
    """The arguments that name the chat model, and make its answers the same every time."""
    if request.param == "openai":
        return ("-m", "tiny", "-o", "temperature", "0", "-o", "max_tokens", "64")
    return ("-m", f"ollama/{gateway.chat}", "-o", "temperature", "0", "-o", "num_predict", "64")


def test_a_prompt_whole_and_streamed(llm: Llm, gateway: Any, model: tuple[str, ...]) -> None:
    assert llm(gateway.question, *model) == llm(gateway.question, *model, "--no-stream") != ""


def test_a_schema_holds(llm: Llm, gateway: Any, model: tuple[str, ...]) -> None:
    schema = json.dumps({**gateway.person.model_json_schema(), "additionalProperties": False})
    assert gateway.person.model_validate_json(llm(gateway.extract, *model, "--schema", schema))


def test_a_tool_is_called(llm: Llm, gateway: Any, model: tuple[str, ...]) -> None:
    llm(gateway.weather, *model, "--functions", FUNCTIONS)
    called = [call for turn in json.loads(llm("logs", "list", "-n", "0", "--json")) for call in turn["tool_calls"]]
    assert [(call["name"], call["arguments"]) for call in called] == [("get_weather", {"city": "Oslo"})]


def test_models_and_vectors_over_ollama(llm: Llm, gateway: Any) -> None:
    assert gateway.chat in llm("ollama", "models")
    vector = json.loads(llm("embed", "-m", f"ollama/{gateway.embed}", "-c", "a llama"))
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-3)
