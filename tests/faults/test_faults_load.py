"""Too much of everything: readers that stall, requests without end, stops under load, no descriptors left."""

from __future__ import annotations

import hashlib
import json
import os
import signal
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

from hyperllama_bench.load import percentile
from tests.support.live import FAST, SOUND, Listener, asked, chat, connect, events, text_of, unchunked, until, whole

ROOT = Path(__file__).parents[2]
MIB = 2**20


@pytest.mark.timeout(300)
@pytest.mark.parametrize("readers", [5, pytest.param(200, marks=pytest.mark.nightly)])
def test_r09_stalled_readers_hold_little_and_are_cut_off(readers: int, serving: Any, bar: Any) -> None:
    live = serving(FAST + SOUND, bounds={"stall_timeout": 0.5 if readers < 100 else 20.0})
    live.ask("/api/generate", {"model": "fast"})
    listener = Listener(live)
    time.sleep(0.5)  # of undisturbed listening
    quiet = percentile(listener.end(), 0.99)
    memory = psutil.Process().memory_info().rss
    stalled = []
    for _ in range(readers):
        stalled.append(live.connect(receive_buffer=4096))
        stalled[-1].sendall(asked("/v1/chat/completions", chat("fast")))
    live.until(lambda: live.active("fast") == readers)
    live.until(lambda: not live.batch("fast").running)  # the engine works for none of them any more
    held = 0
    listener = Listener(live)
    while live.on_loop(lambda: live.active("fast")):
        sizes = live.on_loop(lambda: [each.transport.get_write_buffer_size() for each in live.guard.connections])
        held = max([held, *sizes])
        time.sleep(0.02)  # between two looks
    live.until(lambda: live.guard.refused["stalled"] == readers)
    gaps = percentile(listener.end(), 0.99)
    grown = psutil.Process().memory_info().rss - memory
    assert held <= 256 * 1024
    bar.record(
        f"{held // 1024} KiB each at most, {readers} readers {grown / MIB:+.0f} MiB, "
        f"others' gap p99 {gaps / max(quiet, 0.01):.2f}x",
        rounds=readers,
    )
    bar.within(grown, 100 * MIB)


@pytest.fixture
def overload(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(*arguments: str) -> dict[str, Any]:
        command = [sys.executable, str(ROOT / "tests" / "bench" / "overload.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    return run


def _of(found: dict[str, Any]) -> str:
    return (
        f"{found['engine']}: goodput {found['goodput']:.0%} of {found['peak']:.0f}/s, "
        f"refused p99 {found['refused_p99_ms']:.0f} ms, normal after {found['recovered_s']:.1f} s"
    )


def test_r10_overload_refuses_in_time_and_serves_on(overload: Any, bar: Any) -> None:
    """A few seconds of tests/bench/overload.py; its figures mean something on a machine that does nothing else."""
    found = overload("sim", "1.5")
    assert found["other"] == 0
    assert found["without_retry_after"] == 0
    assert found["refused"] > 0
    assert found["recovered_s"] < 60
    bar.record(_of(found), rounds=int(found["offered"] * found["seconds"]))


@pytest.mark.nightly
@pytest.mark.timeout(700)
@pytest.mark.parametrize("engine", ["sim", pytest.param("max", marks=pytest.mark.max)])
def test_r10_overload_for_a_minute_keeps_the_goodput(engine: str, overload: Any, bar: Any) -> None:
    found = overload(engine, "60")
    assert found["other"] == found["without_retry_after"] == 0
    assert found["goodput"] >= 0.9
    assert found["refused_p99_ms"] <= 50
    assert found["recovered_s"] <= 5
    bar.record(_of(found), rounds=int(found["offered"] * found["seconds"]))


@pytest.mark.nightly
@pytest.mark.timeout(700)
@pytest.mark.parametrize("engine", ["sim", pytest.param("max", marks=pytest.mark.max)])
def test_r36_shares_follow_the_weights_for_a_minute(engine: str, overload: Any, bar: Any) -> None:
    found = overload(engine, "60")
    assert found["worst_share"] <= 0.1
    bar.record(f"{engine}: the worst of 20 keys is {found['worst_share']:.1%} off", rounds=20)


STOP = """
[server]
port = 0
drain_timeout = {drain}
[models.sim]
engine = "sim"
max_batch_size = 128
[models.sim.options]
tokens_per_second = 50
answer_tokens = 2000
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("streams", "rounds"), [(12, 1), pytest.param(50, 20, marks=pytest.mark.nightly)])
def test_r12_sigterm_lets_streams_end_whole_or_with_an_error(streams: int, rounds: int, start: Any, bar: Any) -> None:
    lengths = [(5, 20, 40, 5000)[number % 4] for number in range(streams)]
    worst_ready = worst_exit = 0.0
    for _ in range(rounds):
        gateway = start(STOP.format(drain=1.5))
        with httpx.Client(base_url=gateway.url) as http:
            expected = {
                length: http.post(
                    "/v1/chat/completions", json=chat("sim", stream=False, max_tokens=length), timeout=30
                ).json()["choices"][0]["message"]["content"]
                for length in (5, 20, 40)
            }
        clients = [connect(gateway.port) for _ in lengths]
        for client, length in zip(clients, lengths, strict=True):
            client.sendall(asked("/v1/chat/completions", chat("sim", max_tokens=length)))
        got = [until(client, b"data: ") for client in clients]
        gateway.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        while httpx.get(f"{gateway.url}/ready").status_code != 503:
            assert time.monotonic() - told < 10
        worst_ready = max(worst_ready, time.monotonic() - told)
        refused = httpx.post(f"{gateway.url}/v1/chat/completions", json=chat("sim"))
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        for client, length, begun in zip(clients, lengths, got, strict=True):
            found = events(unchunked(whole(client, begun).partition(b"\r\n\r\n")[2]))
            if length in expected:
                assert found[-1] == "[DONE]"
                assert text_of(found) == expected[length]
            else:
                assert found[-1]["error"]["message"]
            client.close()
        assert gateway.process.wait(30) == 0
        worst_exit = max(worst_exit, time.monotonic() - told)
    bar.record(
        f"not ready after {worst_ready * 1e3:.0f} ms, exit code 0 after {worst_exit:.1f} s of a drain of 1.5 s",
        rounds=streams * rounds,
    )
    bar.within(worst_ready, 0.1)
    bar.within(worst_exit, 1.5 + 5)


def test_r12_a_second_signal_ends_it_at_once(start: Any, bar: Any) -> None:
    gateway = start(STOP.format(drain=600))
    with connect(gateway.port) as client:
        client.sendall(asked("/v1/chat/completions", chat("sim")))
        until(client, b"data: ")
        gateway.process.send_signal(signal.SIGTERM)
        while httpx.get(f"{gateway.url}/ready").status_code != 503:
            pass
        gateway.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        code = gateway.process.wait(30)
    took = time.monotonic() - told
    assert code in (0, 1)  # 1: something had to be left where it stood
    bar.record(f"second signal: gone after {took:.1f} s", rounds=1)
    bar.within(took, 2.0)


def test_r34_without_descriptors_health_is_answered_and_the_log_stays_quiet(
    tmp_path: Path, start: Any, bar: Any
) -> None:
    few = tmp_path / "few"
    few.write_text(f'#!/bin/sh\nulimit -n 64\nexec {sys.executable} "$@"\n')
    few.chmod(0o755)
    gateway = start('[server]\nport = 0\n[models.sim]\nengine = "sim"\n', python=str(few))
    process = psutil.Process(gateway.process.pid)
    hoard: list[socket.socket] = []
    for _ in range(150):
        one = socket.socket()
        one.settimeout(5)
        one.connect(("127.0.0.1", gateway.port))
        hoard.append(one)
    before, lines = process.cpu_times(), gateway.log().count("\n")
    began = time.monotonic()
    time.sleep(1.5)  # of sitting there
    spent, passed = process.cpu_times(), time.monotonic() - began
    share = (spent.user + spent.system - before.user - before.system) / passed
    logged = (gateway.log().count("\n") - lines) / passed
    assert process.num_fds() <= 64
    for one in hoard:
        one.close()
    began = time.monotonic()
    while True:
        try:
            if httpx.get(f"{gateway.url}/health", timeout=1).status_code == 200:
                break
        except httpx.HTTPError:
            assert time.monotonic() - began < 20
    recovered = time.monotonic() - began
    assert logged <= 10
    bar.record(f"CPU {share:.1%}, {logged:.1f} log lines/s, recovery {recovered * 1e3:.0f} ms", rounds=150)
    bar.within(share, 0.05)
    bar.within(recovered, 1.0)


@pytest.mark.parametrize("size", [48, pytest.param(1024, marks=pytest.mark.nightly)])
def test_s04_an_upload_is_no_memory(size: int, start: Any, bar: Any) -> None:
    """In MiB, to the model store, in a process of its own."""
    gateway = start('[server]\nport = 0\n[models.sim]\nengine = "sim"\n')
    piece = os.urandom(MIB)
    digest = hashlib.sha256()
    for _ in range(size):
        digest.update(piece)
    process = psutil.Process(gateway.process.pid)
    with httpx.Client(base_url=gateway.url, timeout=300) as http:
        http.post("/v1/chat/completions", json=chat("sim", stream=False))
        assert http.post(f"/api/blobs/sha256:{hashlib.sha256(b'x').hexdigest()}", content=b"x").status_code == 201
        before, most = process.memory_info().rss, 0

        def pieces() -> Any:
            nonlocal most
            for _ in range(size):
                yield piece
                most = max(most, process.memory_info().rss)

        assert http.post(f"/api/blobs/sha256:{digest.hexdigest()}", content=pieces()).status_code == 201
        assert http.post("/v1/chat/completions", content=b" " * (32 * MIB + 1)).status_code == 413
        gzip = http.post("/v1/chat/completions", content=b"x", headers={"content-encoding": "gzip"})
        assert gzip.status_code == 415
    bar.record(f"{size} MiB uploaded cost {(most - before) / MIB:.1f} MiB", rounds=size)
    assert most - before <= 32 * MIB
