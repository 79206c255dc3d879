"""The command as a process: how it starts, refuses, stops and dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

SIM = """
[server]
port = 0
[models.sim]
engine = "sim"
"""
HOSTED = (
    SIM
    + """preload = true
[models.sim.options]
placement = "host"
tokens_per_second = 20
answer_tokens = 400
"""
)


def run(tmp_path: Path, config: str | None, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hyperllama"]
    if config is not None:
        (tmp_path / "config.toml").write_text(config)
        command += ["--config", "config.toml"]
    env = {**os.environ, "HYPERLLAMA_STORE_PATH": str(tmp_path / "store"), **environ}
    return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=60)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("[server]\nprot = 1\n", "config.toml: [server]: Unknown key 'prot'; did you mean 'port'?"),
        ("[server]\nport = 'x'\n", "config.toml: server.port: Expected `int`, got `str`"),
        ("[models.m]\nengine = 'sim'\nsource = 'no/such/place'\n", "models.m.source: 'no/such/place' does not exist"),
        ("[models.m]\nengine = 'gone'\n", "models.m.engine: no engine 'gone'"),
        ("[plugin.gone]\nx = 1\n", "[plugin.gone]: There is no plugin of that name"),
        ("[server]\nhost = '0.0.0.0'\nport = 0\n", "can be reached from other machines and no keys are configured"),
    ],
)
def test_what_cannot_be_served_is_one_clear_line_and_exit_code_2(tmp_path: Path, config: str, sentence: str) -> None:
    done = run(tmp_path, config)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.startswith("hyperllama-gateway: ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_missing_file_and_a_port_in_use_are_exit_code_2(tmp_path: Path) -> None:
    missing = run(tmp_path, None, "--config", "nowhere.toml")
    assert (missing.returncode, "The configuration cannot be read" in missing.stderr) == (2, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path, f"[server]\nport = {port}\n[models.sim]\nengine = 'sim'\n")
    assert done.returncode == 2
    assert f"127.0.0.1:{port} is in use" in done.stderr


def test_check_says_what_would_run(tmp_path: Path) -> None:
    done = run(tmp_path, SIM, "check")
    assert done.returncode == 0, done.stderr
    assert "model          sim on sim" in done.stdout
    assert "this machine only, without keys" in done.stdout


def test_plugins_are_listed_and_nothing_is_wrong_with_ours(tmp_path: Path) -> None:
    listed = run(tmp_path, SIM, "plugins", "list")
    assert "ollama           loaded    hyperllama-gateway" in listed.stdout
    assert run(tmp_path, SIM, "plugins", "doctor").stdout.endswith("no problems\n")


def test_the_gateway_imports_no_engine(tmp_path: Path) -> None:
    code = (
        "import sys; from hyperllama.config import load; from hyperllama.app.application import create_app; "
        "create_app(load(None, {})); print([m for m in ('max', 'torch', 'transformers', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_sigterm_stops_everything_with_exit_code_0(start: Callable[..., Any]) -> None:
    gateway = start(HOSTED)
    gateway.wait_ready(60)
    for path in ("/health", "/ready"):  # some load balancers send HEAD
        looked = httpx.head(f"{gateway.url}{path}")
        assert (looked.status_code, looked.content) == (200, b""), path
    below = gateway.tree()[1:]
    assert below
    assert gateway.stop() == 0
    _, alive = psutil.wait_procs(below, timeout=5)
    assert not alive


def test_sigkill_of_the_gateway_leaves_no_child(start: Callable[..., Any]) -> None:
    gateway = start(HOSTED)
    gateway.wait_ready(60)
    below = gateway.tree()[1:]
    assert below
    gateway.process.kill()
    gateway.process.wait(10)
    _, alive = psutil.wait_procs(below, timeout=2)
    assert not alive


def test_a_running_stream_ends_whole_when_the_gateway_is_told_to_stop(start: Callable[..., Any]) -> None:
    gateway = start(SIM + "[models.sim.options]\ntokens_per_second = 50\nanswer_tokens = 60\n")
    body = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, timeout=30) as response:
        lines = response.iter_lines()
        next(lines)
        gateway.process.terminate()
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert gateway.process.wait(10) == 0


def test_new_work_is_refused_while_it_stops(start: Callable[..., Any]) -> None:
    gateway = start(SIM + "[models.sim.options]\ntokens_per_second = 50\nanswer_tokens = 100\n")
    body = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, timeout=30) as response:
        lines = response.iter_lines()  # kept: dropping it would close the stream
        next(lines)
        gateway.process.terminate()
        deadline = time.monotonic() + 5
        while (ready := httpx.get(f"{gateway.url}/ready")).status_code == 200 and time.monotonic() < deadline:
            pass
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        refused = httpx.post(f"{gateway.url}/v1/chat/completions", json=body)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert refused.json()["error"]["code"] == "draining"
        assert httpx.get(f"{gateway.url}/health").status_code == 200


def test_metrics_count_what_was_served(start: Callable[..., Any]) -> None:
    gateway = start(SIM)
    body = {"model": "sim", "messages": [{"role": "user", "content": "hi"}]}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body).json()
    text = httpx.get(f"{gateway.url}/metrics").text
    series = 'hyperllama_completion_tokens_total{model="sim",protocol="openai"}'
    assert f"{series} {float(answer['usage']['completion_tokens'])}" in text
    assert 'hyperllama_requests_total{model="sim",outcome="finished",protocol="openai",reason=""} 1.0' in text


def test_the_bench_measures_a_small_run(tmp_path: Path) -> None:
    done = run(tmp_path, None, "bench", "--streams", "2", "--tokens", "5", "--pace", "0", "--requests", "16")
    assert done.returncode == 0, done.stderr
    assert "listening after" in done.stdout
    for dialect in ("openai", "ollama"):
        assert f"{dialect}: " in done.stdout
