"""The real command on a free port, and everything it may not leave behind."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).parents[2]
START = 30.0  # seconds for a loaded test machine; the one-second bar has a test of its own


class Gateway:
    """A running ``hyperllama-gateway``."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.folder = log.parent
        self._log = log
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def wait_listening(self) -> None:
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            if found := re.search(r'"port": ?(\d+)', self.log()):
                self.port = int(found.group(1))
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"not listening:\n{self.log()}")

    def wait_ready(self, seconds: float = 600.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log()
            try:
                if httpx.get(f"{self.url}/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready:\n{self.log()}")

    def tree(self) -> list[psutil.Process]:
        """The process and all below it."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


StartGateway = Callable[..., Gateway]


def _environment(home: Path, extra: dict[str, str]) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HYPERLLAMA_", "OLLAMA_")) and key not in ("PYTHONDONTWRITEBYTECODE", "TMPDIR")
    }
    return {**kept, "HYPERLLAMA_STORE_PATH": str(home / "store"), "HYPERLLAMA_LOGS_FORMAT": "json", **extra}


def launch(folder: Path, config: str | None, *arguments: str, **environ: str) -> Gateway:
    """Start the command with ``config`` (None: none) in ``folder``."""
    command = [sys.executable, "-m", "hyperllama"]
    if config is not None:
        (folder / "config.toml").write_text(config)
        command += ["--config", str(folder / "config.toml")]
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*command, *arguments], stdout=sink, stderr=sink, cwd=folder, env=_environment(folder, environ)
        )
    return Gateway(process, log)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartGateway]:
    """Start a gateway of this test's own; it is stopped, with whatever it started, afterwards."""
    running: list[Gateway] = []

    def begin(config: str, *arguments: str, **environ: str) -> Gateway:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        gateway = launch(folder, config, *arguments, **environ)
        running.append(gateway)
        gateway.wait_listening()
        return gateway

    yield begin
    for gateway in running:
        below = gateway.tree()[1:] if gateway.process.poll() is None else []
        gateway.stop()
        _, alive = psutil.wait_procs(below, timeout=5)
        assert not alive, f"left behind: {alive}"


@pytest.fixture(scope="session")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway over the sim engine for the whole run."""
    gateway = launch(
        tmp_path_factory.mktemp("sim"),
        """
[server]
port = 0
[models.sim]
engine = "sim"
aliases = ["other"]
[models.sim-embed]
engine = "sim"
[models.sim-embed.options]
embedding = 8
[models.slow]
engine = "sim"
[models.slow.options]
tokens_per_second = 20
answer_tokens = 400
""",
    )
    gateway.wait_listening()
    yield gateway
    assert gateway.stop() == 0, gateway.log()


@pytest.fixture(scope="session")
def max_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway over MAX with the built-in models, configured by the file at the top, for the whole run."""
    if importlib.util.find_spec("max") is None:
        pytest.skip("the [max] extra is not installed")
    gateway = launch(tmp_path_factory.mktemp("max"), (ROOT / "config.toml").read_text(), HYPERLLAMA_SERVER_PORT="0")
    gateway.wait_listening()
    gateway.wait_ready()
    yield gateway
    assert gateway.stop() == 0, gateway.log()
