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

from hyperllama.system.processes import running


class Server(msgspec.Struct):
    pid: int
    port: int
    started_in: float  # seconds from start to the open port
    log: Path


@contextlib.contextmanager
def gateway(config: str, *, cores: set[int] | None = None, environ: Mapping[str, str] = {}) -> Iterator[Server]:
    """Run ``hyperllama-gateway`` with ``config`` (TOML); port 0. Raises RuntimeError when it does not listen."""
    with tempfile.TemporaryDirectory(prefix="hyperllama-bench-") as folder:
        began = time.monotonic()
        child = start(Path(folder), config, environ=environ)
        with _ended(child, cores):
            log = Path(folder) / "log"
            port = wait_listening(log, child.pid)
            yield Server(child.pid, port, time.monotonic() - began, log)


def start(
    folder: Path,
    config: str | None,
    *arguments: str,
    python: str = sys.executable,
    environ: Mapping[str, str] = {},
) -> subprocess.Popen[bytes]:
    """Start ``hyperllama-gateway`` with ``config`` (TOML; None: without), its ``log`` and ``store`` in ``folder``.

    Settings of this process's own environment do not reach it; ``environ`` does.
    """
    command = [python, "-m", "hyperllama"]
    if config is not None:
        (folder / "config.toml").write_text(config)
        command += ["--config", str(folder / "config.toml")]
    ours = ("HYPERLLAMA_", "OLLAMA_", "PYTHONDONTWRITEBYTECODE", "TMPDIR")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    env = {**kept, "HYPERLLAMA_STORE_PATH": str(folder / "store"), "HYPERLLAMA_LOGS_FORMAT": "json", **environ}
    with (folder / "log").open("wb") as sink:
        return subprocess.Popen([*command, *arguments], stdout=sink, stderr=sink, cwd=folder, env=env)


@contextlib.contextmanager
def process(
    command: Sequence[str], log: Path, *, env: Mapping[str, str], cores: set[int] | None
) -> Iterator[tuple[int, float]]:
    """Run ``command`` with its output in ``log``; yields its pid and the moment of its start; ends it and all below."""
    began = time.monotonic()
    with log.open("wb") as sink:
        child = subprocess.Popen(command, stdout=sink, stderr=sink, env=env, cwd=log.parent, start_new_session=True)
    with _ended(child, cores):
        yield child.pid, began


@contextlib.contextmanager
def _ended(child: subprocess.Popen[bytes], cores: set[int] | None) -> Iterator[None]:
    try:
        if cores:
            os.sched_setaffinity(child.pid, cores)
        yield
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_listening(log: Path, pid: int, *, seconds: float = 900.0) -> int:
    """Wait for the port that a gateway's log names, and return it. Raises RuntimeError when it does not."""
    return int(wait_for(log, r'"port": ?(\d+)', pid, seconds=seconds))


def wait_for(log: Path, pattern: str, pid: int, *, seconds: float = 900.0) -> str:
    """Wait until the log matches ``pattern``, and return its first group. Raises RuntimeError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        text = log.read_text("utf-8", errors="replace")
        if found := re.search(pattern, text):
            return found.group(1)
        if not running(pid):
            break
        time.sleep(0.002)
    raise RuntimeError(f"the server did not come up:\n{log.read_text('utf-8', errors='replace')[-2000:]}")


def wait_port(port: int, pid: int, log: Path, *, seconds: float = 900.0) -> None:
    """Wait until the port accepts connections. Raises RuntimeError when ``pid`` ends before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and running(pid):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not come up:\n{log.read_text('utf-8', errors='replace')[-2000:]}")


__all__ = ("Server", "gateway", "process", "start", "wait_for", "wait_listening", "wait_port")
