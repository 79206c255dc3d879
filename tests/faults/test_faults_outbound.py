"""Nothing leaves the machine but what the user configured: every connect of a whole run is looked at."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from hyperllama.testing.child import wait_for

ROOT = Path(__file__).parents[2]
CALLS = "trace=connect,sendto,sendmsg,sendmmsg"

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def addresses(trace: str) -> set[str]:
    """Internet addresses that any process connected or sent to."""
    found = re.findall(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', trace)
    return {four or six for four, six in found}


def traced(tmp_path: Path, *command: str, **environ: str) -> subprocess.Popen[bytes]:
    with (tmp_path / "log").open("wb") as log:
        return subprocess.Popen(
            ["strace", "-f", "-qq", "-e", CALLS, "-o", str(tmp_path / "trace"), *command],
            stdout=log,
            stderr=log,
            cwd=tmp_path,
            env={**os.environ, "HYPERLLAMA_LOGS_FORMAT": "json", "HYPERLLAMA_STORE_PATH": str(tmp_path), **environ},
        )


def test_s22_the_detector_sees_a_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]})).close()"
        assert traced(tmp_path, sys.executable, "-c", code).wait(60) == 0
    assert addresses((tmp_path / "trace").read_text()) == {"127.0.0.1"}


def test_s22_a_run_on_sim_from_start_to_stop_connects_to_nothing(tmp_path: Path, bar: Any) -> None:
    (tmp_path / "config.toml").write_text(
        '[server]\nport = 0\n[models.sim]\nengine = "sim"\n[models.sim.options]\nplacement = "host"\nembedding = 4\n'
    )
    process = traced(tmp_path, sys.executable, "-m", "hyperllama", "--config", "config.toml")
    try:
        port = int(wait_for(tmp_path / "log", r'"port": ?(\d+)', process.pid))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            for _ in range(25):
                for path, body in (
                    ("/api/generate", {"model": "sim", "prompt": "x", "stream": False}),
                    ("/v1/chat/completions", {"model": "sim", "messages": [{"role": "user", "content": "x"}]}),
                    ("/v1/embeddings", {"model": "sim", "input": "x"}),
                    ("/api/show", {"model": "gone"}),
                ):
                    assert http.post(path, json=body).status_code in (200, 404)
    finally:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
        assert process.wait(60) == 0
    assert addresses((tmp_path / "trace").read_text()) <= {"127.0.0.1", "::1"}
    bar.record("sim: 0 addresses in 100 requests", rounds=100)


@pytest.mark.max
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_s22_a_run_on_max_from_load_to_stop_connects_to_nothing(tmp_path: Path, bar: Any) -> None:
    command = [sys.executable, "-m", "hyperllama", "--config", str(ROOT / "config.toml")]
    process = traced(tmp_path, *command, HYPERLLAMA_SERVER_PORT="0")
    try:
        port = int(wait_for(tmp_path / "log", r'"port": ?(\d+)', process.pid))
        url = f"http://127.0.0.1:{port}"
        for body in ({"model": "hyperllama-tiny", "prompt": "x", "stream": False, "options": {"num_predict": 4}},) * 3:
            assert httpx.post(f"{url}/api/generate", json=body, timeout=600).json()["done"] is True
        embedded = httpx.post(f"{url}/api/embed", json={"model": "hyperllama-tiny-embed", "input": "x"}, timeout=600)
        assert len(embedded.json()["embeddings"]) == 1
    finally:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
        assert process.wait(60) == 0
    assert addresses((tmp_path / "trace").read_text()) <= {"127.0.0.1", "::1"}
    bar.record("MAX: 0 addresses from load to stop", rounds=4)
