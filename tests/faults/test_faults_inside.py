"""What requests leave behind in the gateway's process, and what holds its loop up."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.spi import Call
from tests.support.costs import only_new_garbage
from tests.support.live import FAST, SOUND, answer, asked, chat, connect

MIB = 2**20


class LeakPlugin:
    """Keeps five kibibytes of each request: what the detector must find."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    @hookimpl
    def hyperllama_observers(self, config: Config) -> Any:
        return (self,)

    def finished(self, call: Call) -> None:
        self.kept.append(os.urandom(5 * 1024))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("warm", "count"), [(70, 280), pytest.param(2000, 10_000, marks=pytest.mark.nightly)])
def test_r19_requests_of_every_kind_leave_nothing_behind(warm: int, count: int, serving: Any, bar: Any) -> None:
    live = serving(FAST + SOUND)
    clean, before, after = _leaks(live, warm, count)
    leaking = serving(FAST + SOUND, LeakPlugin())
    found, _, _ = _leaks(leaking, warm // 2, count // 2)
    assert found - max(clean, 0.0) >= 2.5 * 1024, "a leak of 5 KiB a request was not seen"
    assert clean <= 2.5 * 1024
    assert after[0] == before[0]
    # Pools of threads and of database connections fill up: a few, however many requests there were.
    assert all(abs(late - early) <= 8 for late, early in zip(after, before, strict=True)), (before, after)
    tasks, descriptors, threads = (late - early for late, early in zip(after, before, strict=True))
    bar.record(
        f"{clean / 1024:.2f} KiB a request, {tasks:+d} tasks, {descriptors:+d} descriptors, {threads:+d} threads; "
        f"a planted 5 KiB shows as {found / 1024:.1f}",
        rounds=count,
    )
    bar.within(clean, 1024)
    bar.within(abs(descriptors), 2)


def _leaks(live: Any, warm: int, count: int) -> tuple[float, tuple[int, ...], tuple[int, ...]]:
    """Python's bytes a request, and tasks, descriptors and threads before and after.

    Between the lowest points of the first and of the last third of 20 steps: what is made once, or only waits to be
    written, does not count.

    Not the resident size: in a process that ran other tests, a leak fills what they gave back.
    """
    openai, ollama = "/v1/chat/completions", "/api/chat"
    kinds = [
        asked(openai, chat("fast", max_tokens=8)),
        asked(ollama, chat("fast", options={"num_predict": 8})),
        asked(openai, chat("fast", max_tokens=8, stream=False)),
        asked("/v1/embeddings", {"model": "fast", "input": "x"}),
        asked(openai, chat("gone")),
        asked(openai, b"{nonsense"),
        asked(openai, chat("sound")),  # left after the first bytes
    ]

    def run(times: int) -> None:
        for number in range(times):
            kind = number % len(kinds)
            with connect(live.port) as client:
                client.sendall(kinds[kind])
                if kind == len(kinds) - 1:
                    client.recv(64)
                else:
                    answer(client)

    def state() -> tuple[int, ...]:
        live.until(lambda: not live.guard.connections and not live.app.pipeline.live)
        process = psutil.Process()
        return len(live.on_loop(asyncio.all_tasks)), process.num_fds(), process.num_threads()

    database = live.app.storage.database
    asyncio.run_coroutine_threadsafe(database.open(), live._loop).result(60)  # it imports much, and when it finds time
    run(warm)
    step = count // 20 // len(kinds) * len(kinds)
    before, points = state(), []
    with only_new_garbage():
        tracemalloc.start()
        try:
            for _ in range(21):
                run(step)
                state()
                gc.collect()
                points.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    early = min(range(7), key=points.__getitem__)
    late = min(range(14, 21), key=points.__getitem__)
    return (points[late] - points[early]) / (late - early) / step, before, state()


class StallPlugin:
    """Holds the loop up for a prompt that asks for it: what the detector must find."""

    @hookimpl
    def hyperllama_observers(self, config: Config) -> Any:
        return (self,)

    def finished(self, call: Call) -> None:
        if "stall" in str(call.request)[:500]:
            time.sleep(0.3)


class Watch:
    """How late the loop is, every 5 ms, and how long /health takes meanwhile."""

    def __init__(self, live: Any) -> None:
        self._live = live
        self._done = threading.Event()
        self._handle: Any = None
        self.lags: list[float] = []
        self.health: list[float] = []
        live.on_loop(lambda: self._next(asyncio.get_running_loop()))
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()

    def _next(self, loop: Any) -> None:
        self._handle = loop.call_later(0.005, self._tick, loop, time.monotonic() + 0.005)

    def _tick(self, loop: Any, due: float) -> None:
        self.lags.append(max(0.0, time.monotonic() - due))
        self._next(loop)

    def _poll(self) -> None:
        wire = asked("/health", b"", method="GET")
        while not self._done.is_set():
            began = time.monotonic()
            with connect(self._live.port) as client:
                client.sendall(wire)
                assert answer(client)[0] == 200
            self.health.append(time.monotonic() - began)
            self._done.wait(0.01)

    def end(self) -> tuple[float, float]:
        """The longest of each."""
        self._done.set()
        self._thread.join()
        self._live.on_loop(self._handle.cancel)
        return max(self.lags), max(self.health)


BUSY = """
[models.sim]
engine = "sim"
[models.sim.options]
placement = "host"
context_length = 400000
answer_tokens = 4
silence = 60.0
[models.cold]
engine = "sim"
[models.cold.options]
placement = "host"
"""
TOOL = {"type": "object", "properties": {f"p{n}": {"type": "string", "description": "d" * 60} for n in range(80)}}


def _hard_work(upload: int) -> dict[str, Callable[[Any], tuple[int, dict[str, str], bytes]]]:
    blob = b"x" * upload
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    path = "/v1/chat/completions"
    tools = [{"type": "function", "function": {"name": f"f{n}", "parameters": TOOL}} for n in range(128)]
    bodies = {
        "200k-token prompt": asked(path, chat("sim", "word " * 200_000, stream=False)),
        "16 MiB body": asked(path, chat("sim", "x" * (16 * MIB - 200), stream=False)),
        "16 MiB Ollama body": asked("/api/chat", chat("sim", "x" * (16 * MIB - 200), stream=False)),
        "128 tools": asked(path, chat("sim", stream=False, tools=tools)),
        "a load": asked(path, chat("cold", stream=False)),
        f"hashing {upload // MIB} MiB": asked(f"/api/blobs/{digest}", blob),
    }

    def sender(wire: bytes) -> Callable[[Any], tuple[int, dict[str, str], bytes]]:
        def send(live: Any) -> tuple[int, dict[str, str], bytes]:
            with live.connect() as client:
                client.sendall(wire)
                return answer(client)

        return send

    return {name: sender(wire) for name, wire in bodies.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("upload", [16 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.nightly)])
def test_r20_nothing_a_client_sends_holds_the_loop_up(upload: int, serving: Any, bar: Any) -> None:
    live = serving(BUSY)
    live.ask("/api/generate", {"model": "sim"})
    figures = []
    for name, send in _hard_work(upload).items():
        watch = Watch(live)
        status, _, body = send(live)
        lag, health = watch.end()
        assert status < 500, (name, body[:300])
        figures.append((lag, health, name))
    lag, health, name = max(figures)
    bar.record(
        f"lag {lag * 1e3:.0f} ms at most ({name}), /health {max(h for _, h, _ in figures) * 1e3:.0f} ms",
        rounds=len(figures),
    )
    bar.within(lag, 0.1)


def test_r20_a_loop_that_is_held_up_is_seen(serving: Any, bar: Any) -> None:
    live = serving('[models.sim]\nengine = "sim"\n', StallPlugin())
    watch = Watch(live)
    live.ask("/v1/chat/completions", chat("sim", "stall", stream=False))
    lag, _ = watch.end()
    assert lag >= 0.25
    live.until(lambda: live.lag.stalls)
    series = live.metrics()
    assert series["hyperllama_loop_stalls_total"] >= 1
    assert series["hyperllama_loop_lag_seconds"] >= 0.1
    bar.record(f"control: 300 ms are seen as {lag * 1e3:.0f}", rounds=1)
