"""SIGHUP means "reload" from the first moment to the last: it never ends the gateway, with a file or without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def handled(pid: int) -> bool:
    """Whether the process has a handler for SIGHUP."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) & 1 << signal.SIGHUP - 1)


@pytest.mark.parametrize("configured", [False, True])
def test_a_storm_of_hangups_from_start_to_end_kills_nothing(configured: bool, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[plugins]\nenabled = ["sim", "openai"]\n[models.sim]\nengine = "sim"\n')
    chosen = ["--config", str(file)] if configured else []
    environ = {**os.environ, "HYPERLLAMA_STORE_PATH": str(tmp_path / "store"), "HYPERLLAMA_SERVER_PORT": "0"}
    environ |= {"HYPERLLAMA_PLUGINS_ENABLED": "sim,openai"}
    log = tmp_path / "log"
    command = [sys.executable, "-m", "hyperllama", *chosen]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
    deadline = time.monotonic() + 60

    def storm_until(text: bytes) -> None:
        while text not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            if handled(process.pid):  # before its own code runs, Python itself dies of the signal
                process.send_signal(signal.SIGHUP)
            time.sleep(0.005)

    storm_until(b"listening")
    for _ in range(50):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.005)
    process.terminate()
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.001)
    assert process.wait(60) == 0, log.read_text()
    assert b"stopped" in log.read_bytes()
