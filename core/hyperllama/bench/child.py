"""A server started for a measurement: found listening, pinned to cores, ended afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec


class Server(msgspec.Struct):
    pid: int
    port: int
    started_in: float  # seconds from start to the open port
    log: Path


@contextlib.contextmanager
def gateway(config: str, *, cores: set[int] | None = None, environ: Mapping[str, str] = {}) -> Iterator[Server]:
    """``hyperllama-gateway`` with ``config`` (TOML); port 0. Raises RuntimeError when it does not listen."""
    with tempfile.TemporaryDirectory(prefix="hyperllama-bench-") as folder:
        path = Path(folder)
        (path / "config.toml").write_text(config)
        command = [sys.executable, "-m", "hyperllama", "--config", str(path / "config.toml")]
        env = {**os.environ, "HYPERLLAMA_LOGS_FORMAT": "json", "HYPERLLAMA_STORE_PATH": str(path / "store"), **environ}
        with process(command, path / "log", env=env, cores=cores) as (pid, began):
            port = int(wait_for(path / "log", r'"port": ?(\d+)', pid))
            yield Server(pid, port, time.monotonic() - began, path / "log")


@contextlib.contextmanager
def process(
    command: Sequence[str], log: Path, *, env: Mapping[str, str], cores: set[int] | None
) -> Iterator[tuple[int, float]]:
    """Run ``command`` with its output in ``log``; yields its pid and the moment of its start; ends it and all below."""
    began = time.monotonic()
    with log.open("wb") as sink:
        child = subprocess.Popen(command, stdout=sink, stderr=sink, env=env, cwd=log.parent, start_new_session=True)
    try:
        if cores:
            os.sched_setaffinity(child.pid, cores)
        yield child.pid, began
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_for(log: Path, pattern: str, pid: int, *, seconds: float = 900.0) -> str:
    """The first group of ``pattern`` once the log shows it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        text = log.read_text("utf-8", errors="replace")
        if found := re.search(pattern, text):
            return found.group(1)
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.002)
    raise RuntimeError(f"the server did not come up:\n{log.read_text('utf-8', errors='replace')[-2000:]}")


def wait_port(port: int, pid: int, log: Path, *, seconds: float = 900.0) -> None:
    """Until something on this machine accepts connections at ``port``. Raises RuntimeError when ``pid`` ends before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not come up:\n{log.read_text('utf-8', errors='replace')[-2000:]}")


__all__ = ("Server", "gateway", "process", "wait_for", "wait_port")
