"""The real command on a free port, and everything it may not leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hyperllama.testing.running import RunningGateway


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
