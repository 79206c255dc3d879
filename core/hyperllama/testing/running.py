"""The real command as a process of its own: in a folder of its own, found listening, ended with a signal."""

from __future__ import annotations

import contextlib
import http.client
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from hyperllama.testing.child import start, wait_listening


class RunningGateway:
    """A ``hyperllama-gateway`` that was started; ``port`` is 0 until it listens."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.port = 0

    @classmethod
    def launch(
        cls, folder: Path, config: str | None, *arguments: str, python: str = sys.executable, **environ: str
    ) -> Self:
        """Start the command with ``config`` (TOML; None: without) in ``folder``; it may not listen yet."""
        return cls(start(folder, config, *arguments, python=python, environ=environ), folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """Return the log that it has written so far."""
        return (self.folder / "log").read_text("utf-8", errors="replace")

    def wait_listening(self, seconds: float = 120.0) -> None:
        """Wait until the gateway listens. Raises RuntimeError, with the log, when it does not."""
        self.port = wait_listening(self.folder / "log", self.process.pid, seconds=seconds)

    def wait_ready(self, seconds: float = 600.0) -> None:
        """Wait until every model to preload is loaded. Raises RuntimeError, with the log, when it is not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._ready():
                return
            time.sleep(0.05)
        raise RuntimeError(f"not ready:\n{self.log()}")

    def stop(self) -> int:
        """Stop it as an operator does, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def _ready(self) -> bool:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            try:
                connection.request("GET", "/ready")
                return connection.getresponse().status == 200
            except (http.client.HTTPException, OSError):
                return False


__all__ = ("RunningGateway",)
