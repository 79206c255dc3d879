"""The real command, and the clients people point at it: over the sim engine, and over MAX where it is installed.

The clients may live in an environment of their own: HYPERLLAMA_GATEWAY_PYTHON names the interpreter of the gateway's.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PYTHON = os.environ.get("HYPERLLAMA_GATEWAY_PYTHON", sys.executable)
CHAT, EMBED = "hyperllama-tiny", "hyperllama-tiny-embed"
SIM = f"""
[models.{CHAT}]
engine = "sim"
[models.{EMBED}]
engine = "sim"
[models.{EMBED}.options]
embedding = 8
"""


class Running:
    """A gateway that serves the two built-in models' names."""

    def __init__(self, url: str, engine: str) -> None:
        self.url = url
        self.v1 = f"{url}/v1"
        self.engine = engine
        self.chat = CHAT
        self.embed = EMBED


@pytest.fixture(scope="session", params=["sim", pytest.param("max", marks=pytest.mark.max)])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    engine: str = request.param
    if engine == "max" and subprocess.run([PYTHON, "-c", "import max"], capture_output=True).returncode:
        pytest.skip("the [max] extra is not installed")
    folder = tmp_path_factory.mktemp(engine)
    (folder / "config.toml").write_text("[server]\nport = 0\n" + (SIM if engine == "sim" else ""))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HYPERLLAMA_", "OLLAMA_"))}
    environ = {**kept, "HYPERLLAMA_LOGS_FORMAT": "json", "HYPERLLAMA_STORE_PATH": str(folder / "store")}
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [PYTHON, "-m", "hyperllama", "--config", str(folder / "config.toml")],
            stdout=sink,
            stderr=sink,
            env=environ,
        )
    try:
        yield Running(f"http://127.0.0.1:{_port(process, log)}", engine)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r'"port": ?(\d+)', log.read_text()):
            return int(found.group(1))
        time.sleep(0.05)
    raise AssertionError(f"not listening:\n{log.read_text()}")


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
