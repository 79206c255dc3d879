"""The real command on a free port, and everything it may not leave behind."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hyperllama.testing.running import RunningGateway

ROOT = Path(__file__).parents[2]
SIM = """
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
"""


class Gateway(RunningGateway):
    """One whose processes are counted."""

    def tree(self) -> list[psutil.Process]:
        """The process and all below it."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]


StartGateway = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartGateway]:
    """Start a gateway of this test's own; it is stopped, with whatever it started, afterwards."""
    running: list[Gateway] = []

    def begin(config: str, *arguments: str, **environ: str) -> Gateway:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        gateway = Gateway.launch(folder, config, *arguments, **environ)
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
    gateway = Gateway.launch(tmp_path_factory.mktemp("sim"), SIM)
    gateway.wait_listening()
    yield gateway
    assert gateway.stop() == 0, gateway.log()


@pytest.fixture(scope="session")
def max_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway over MAX with the built-in models, configured by the file at the top, for the whole run."""
    if importlib.util.find_spec("max") is None:
        pytest.skip("the [max] extra is not installed")
    config = (ROOT / "config.toml").read_text()
    gateway = Gateway.launch(tmp_path_factory.mktemp("max"), config, HYPERLLAMA_SERVER_PORT="0")
    gateway.wait_listening()
    gateway.wait_ready()
    yield gateway
    assert gateway.stop() == 0, gateway.log()
