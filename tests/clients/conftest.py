"""The real command, and the clients people point at it: over the sim engine, and over MAX where it is installed.

The clients may live in an environment of their own: HYPERLLAMA_GATEWAY_PYTHON names the interpreter of the gateway's.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field

from hyperllama.testing.running import RunningGateway

PYTHON = os.environ.get("HYPERLLAMA_GATEWAY_PYTHON", sys.executable)
WEIGHTS = Path(__file__).parents[2] / "plugins" / "hyperllama_builtin" / "weights" / "hyperllama-tiny"
CHAT, EMBED = "hyperllama-tiny", "hyperllama-tiny-embed"
TOKEN = "hf_of_the_tests"
SIM = f"""
[models.{CHAT}]
engine = "sim"
max_length = 1024
[[models.{CHAT}.options.script]]
when = "weather in Oslo"
tool_calls = [{{ name = "get_weather", arguments = {{ city = "Oslo" }} }}]
[models.{EMBED}]
engine = "sim"
[models.{EMBED}.options]
embedding = 8
capabilities = ["embedding"]
"""


class Person(BaseModel):
    """Somebody."""

    name: str = Field(max_length=24)  # a small model may not find the end of a text by itself
    age: int = Field(ge=0, le=150)


class Served:
    """A gateway that serves the two built-in models' names, and what to ask of it."""

    chat = CHAT
    embed = EMBED
    question = "What port does the gateway listen on?"
    weather = "What is the weather in Oslo?"  # with get_weather on offer it is called without being forced
    token = TOKEN  # which the gateway has for the hub
    extract = "Extract name and age as JSON: Anna is 31 years old."
    person = Person
    parameters: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 24}},
        "required": ["city"],
        "additionalProperties": False,
    }
    tool: ClassVar[dict[str, Any]] = {
        "type": "function",
        "function": {"name": "get_weather", "description": "Get the weather in a city", "parameters": parameters},
    }

    def __init__(self, url: str, engine: str, hub: Any) -> None:
        self.url = url
        self.v1 = f"{url}/v1"
        self.engine = engine
        self.hub = hub  # holds org/tiny, which is the chat model's files


@pytest.fixture(scope="session")
def hub(loopback_hub: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    files = {path.name: path.read_bytes() for path in WEIGHTS.iterdir() if path.suffix in (".json", ".safetensors")}
    with loopback_hub({"org/tiny": files}) as found:
        yield found


@pytest.fixture(scope="session", params=["sim", pytest.param("max", marks=pytest.mark.max)])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, hub: Any) -> Iterator[Served]:
    engine: str = request.param
    if engine == "max" and subprocess.run([PYTHON, "-c", "import max"], capture_output=True).returncode:
        pytest.skip("the [max] extra is not installed")
    config = "[server]\nport = 0\n" + (SIM if engine == "sim" else "")
    folder = tmp_path_factory.mktemp(engine)
    running = RunningGateway.launch(folder, config, python=PYTHON, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    try:
        running.wait_listening(60)
        yield Served(running.url, engine, hub)
    finally:
        running.stop()


@pytest.fixture(autouse=True, scope="module")
def _collected() -> Iterator[None]:
    """What clients that are never closed leave behind is found while their module's filters hold."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client reports home or asks the network for prices while it is tested."""
    for name, value in (
        ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
        ("LANGCHAIN_TRACING_V2", "false"),
        ("LANGSMITH_TRACING", "false"),
        ("NO_PROXY", "127.0.0.1"),
        ("no_proxy", "127.0.0.1"),
    ):
        monkeypatch.setenv(name, value)
