"""Engines that die, hang, fail or are not there yet; and a gateway that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import time
from collections.abc import Mapping
from typing import Any

import httpx
import psutil
import pytest

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.generation import GenerationRequest, TokenChunk
from hyperllama.models import ModelInfo
from hyperllama.spi import Transform, TransformFactory
from hyperllama_bench.load import percentile
from tests.support.live import SOUND, Listener, answer, asked, chat, events, text_of, unchunked, until, whole

PATHS = ("/v1/chat/completions", "/api/chat")
FRAIL = """
[models.{name}]
engine = "sim"
[models.{name}.options]
placement = "host"
tokens_per_second = 200
answer_tokens = 60
"""


def error_of(path: str, body: bytes) -> str:
    """The one error that ends a stream, and nothing that could pass for an end."""
    if path.startswith("/api"):
        lines = [json.loads(line) for line in body.decode().splitlines()]
        assert [list(line) for line in lines if "error" in line] == [["error"]]
        assert not any(line.get("done") for line in lines)
        return str(lines[-1]["error"])
    found = events(body)
    assert [list(event) for event in found if "error" in event] == [["error"]]
    assert "[DONE]" not in found
    assert not any(choice["finish_reason"] for event in found if "choices" in event for choice in event["choices"])
    return str(found[-1]["error"]["message"])


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("models", "kills"), [(3, 1), pytest.param(25, 4, marks=pytest.mark.nightly)])
def test_r05_a_killed_engine_is_one_error_and_comes_back(models: int, kills: int, serving: Any, bar: Any) -> None:
    names = [f"frail{number}" for number in range(models)]
    began = time.time()
    live = serving("".join(FRAIL.format(name=name) for name in names) + SOUND)
    told, back = [], []
    calm = Listener(live)
    for name in names:
        live.ask("/api/generate", {"model": name})
    time.sleep(0.5)  # of undisturbed listening
    quiet = calm.end()
    listener = Listener(live)
    for number in range(models * kills):
        name, path, at = names[number // kills], PATHS[number % 2], (0, 1, 50, 59)[number % 4]
        live.until(lambda name=name: live.engine(name) is not None and live.engine(name).failure is None, 60)
        pid = live.engine(name).pid
        client = live.post(path, chat(name))
        got = until(client, b"\r\n\r\n")
        while at and got.count(b'"content"') < at:
            got += client.recv(65536)
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        got = whole(client, got)
        told.append(time.monotonic() - killed)
        body = unchunked(got.partition(b"\r\n\r\n")[2])
        if at < 50 or b'"error"' in body:  # the last tokens may have been on their way already
            assert "failed" in error_of(path, body)
        live.until(lambda name=name, pid=pid: live.engine(name) is not None and live.engine(name).pid != pid, 60)
        back.append(time.monotonic() - killed)
    gaps = listener.end()
    ours = [child for child in psutil.Process().children(recursive=True) if child.create_time() >= began]
    assert not [child for child in ours if child.status() == psutil.STATUS_ZOMBIE]
    ratio = percentile(gaps, 0.99) / max(percentile(quiet, 0.99), 0.01)
    bar.record(
        f"error within {max(told) * 1e3:.0f} ms, back within {max(back):.1f} s (back-off included), "
        f"others' gap p99 {ratio:.2f}x",
        rounds=models * kills,
    )
    bar.within(max(told), 0.5)
    bar.within(max(back), 5 + 6)  # the fourth death in a minute backs off for four seconds, give or take a fifth


def test_r05_five_deaths_in_a_minute_are_a_rest_and_the_gateway_goes_on(serving: Any, bar: Any) -> None:
    live = serving(FRAIL.format(name="frail") + 'poison = "die"\n' + SOUND)
    for number in range(5):
        live.until(lambda: live.app.catalog.find("frail").instance is None or not live.active("frail"))
        status, _, body = live.ask(PATHS[0], chat("frail", f"please die {number}", stream=False))
        assert status == 502, body
    status, headers, body = live.ask(PATHS[0], chat("frail", "hello", stream=False))
    assert status == 503
    assert 1 <= int(headers["retry-after"]) <= 30
    assert json.loads(body)["error"]["code"] == "model_unavailable"
    assert httpx.get(f"{live.url}/ready").status_code == 200
    assert live.ask(PATHS[0], chat("sound", max_tokens=2, stream=False))[0] == 200
    assert live.metrics()['hyperllama_engine_deaths_total{model="frail"}'] == 5
    bar.record("503 with Retry-After after 5 deaths", rounds=5)


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("when", ["serving", "loading"])
def test_r06_killing_the_gateway_leaves_no_process(when: str, rounds: int, start: Any, bar: Any) -> None:
    load = "load_seconds = 1000\n" if when == "loading" else ""
    worst = 0.0
    for _ in range(rounds):
        gateway = start("[server]\nport = 0\n" + FRAIL.format(name="sim") + load)
        with httpx.Client(base_url=gateway.url, timeout=60) as http:
            if when == "serving":
                http.post("/api/generate", json={"model": "sim"})
            else:
                http.post("/api/generate", json={"model": "sim"}, headers={"prefer": "wait=1"})
        below = gateway.tree()[1:]
        assert below
        assert not [process for process in gateway.tree() if process.status() == psutil.STATUS_ZOMBIE]
        watches = [os.pidfd_open(process.pid) for process in below]
        gateway.process.kill()
        killed = time.monotonic()
        gateway.process.wait(10)
        for watch in watches:
            assert select.select([watch], [], [], 2.0)[0], "still alive two seconds after its gateway"
            os.close(watch)
        worst = max(worst, time.monotonic() - killed)
    bar.record(f"all gone after {worst * 1e3:.0f} ms", rounds=2 * rounds)


HANGS = {
    "stopped": ("", 0.5),
    "process": ('hang_at_token = 3\nhang = "process"\nfault_prompt = "hang"\n', 0.5),
    "engine": ('hang_at_token = 3\nfault_prompt = "hang"\nlongest_step = 0.5\n', 8.0),
}


@pytest.mark.parametrize("silence", [None, pytest.param(8.0, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("how", HANGS)
def test_r07_a_hung_engine_is_found_and_replaced(how: str, silence: float | None, serving: Any, bar: Any) -> None:
    options, short = HANGS[how]
    live = serving(FRAIL.format(name="sim") + options + f"silence = {silence or short}\n")
    live.ask("/api/generate", {"model": "sim"})
    pid = live.engine("sim").pid
    client = live.chat("sim", "hang")
    got = until(client, b"data: ")
    if how == "stopped":
        os.kill(pid, signal.SIGSTOP)
    hung = time.monotonic()
    body = unchunked(whole(client, got).partition(b"\r\n\r\n")[2])
    found = time.monotonic() - hung
    assert "hung" in error_of(PATHS[0], body)
    live.until(lambda: live.engine("sim") is not None and live.engine("sim").pid != pid)
    assert not psutil.pid_exists(pid)
    assert live.ask(PATHS[0], chat("sim", "again", stream=False))[0] == 200
    bar.record(f"streams failed after {found:.1f} s of a silence of {silence or short:g} s", rounds=1)
    bar.within(found, 12.0)


@pytest.mark.parametrize("prefill", [1.5, pytest.param(30.0, marks=pytest.mark.nightly)])
def test_r07_a_slow_prefill_is_no_hang(prefill: float, serving: Any, bar: Any) -> None:
    silence = 0.3 if prefill < 10 else 8.0
    live = serving(FRAIL.format(name="sim") + f"ttft_ms = {prefill * 1000}\nsilence = {silence}\n")
    status, _, _ = live.ask(PATHS[0], chat("sim", stream=False, max_tokens=2))
    assert status == 200
    assert live.metrics()['hyperllama_engine_deaths_total{model="sim"}'] == 0
    bar.record(f"a prefill of {prefill:g} s is left alone", rounds=1)


class Boom:
    """A transform that breaks at a token."""

    def __init__(self) -> None:
        self._seen = 0

    def feed(self, chunk: TokenChunk) -> TokenChunk:
        self._seen += 1
        if self._seen == 4:
            raise ZeroDivisionError("in a plugin")
        return chunk


class BoomPlugin:
    @hookimpl
    def hyperllama_transforms(self, config: Config) -> Mapping[str, TransformFactory]:
        def boom(request: GenerationRequest, info: ModelInfo) -> Transform | None:
            return Boom() if "boom" in request.input.messages[-1].text else None  # type: ignore[union-attr]

        return {"boom": boom}


WHERE = {
    "engine": 'bug_at_token = 4\nfault_prompt = "boom"\n',
    "engine's own": 'error_at_token = 4\nfault_prompt = "boom"\n',
    "host": 'bug_at_token = 4\nfault_prompt = "boom"\nplacement = "host"\n',
    "transform": "",
    "encoder": "",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("where", WHERE)
def test_r08_an_exception_in_a_stream_is_one_error_and_wedges_nothing(
    where: str, path: str, serving: Any, bar: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = 'reasoning_parser = "boom"\n' if where == "transform" else ""
    text = f'\n[models.sim]\nengine = "sim"\nmax_batch_size = 1\n{parser}[models.sim.options]\n{WHERE[where]}'
    live = serving(text, BoomPlugin())
    if where == "encoder":
        from hyperllama_ollama.encode.lines import ChatLines
        from hyperllama_openai.encode.chat_stream import ChatEncoder

        for encoder in (ChatLines, ChatEncoder):
            monkeypatch.setattr(encoder, "chunks", _breaks(encoder.chunks))
    for _ in range(10):
        status, _, body = live.ask(path, chat("sim", "boom"))
        if status == 200:
            assert error_of(path, body)
        else:  # it broke before the first chunk was out
            assert status >= 500 and b"error" in body
        freed = live.until(lambda: live.active("sim") == 0)
        bar.within(freed, 1.0)
    if where == "encoder":
        monkeypatch.undo()
    status, _, body = live.ask(path, chat("sim", "fine"))
    assert status == 200
    assert b"error" not in body
    assert live.metrics()["hyperllama_generations_running"] == 0
    bar.record("one error each, the next prompt answered", rounds=10 * len(WHERE) * len(PATHS))


def _breaks(chunks: Any) -> Any:
    calls = 0

    def broken(self: Any, index: int, found: Any) -> bytes:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise ZeroDivisionError("in an encoder")
        return bytes(chunks(self, index, found))

    return broken


COLD = """
[models.cold]
engine = "sim"
[models.cold.options]
load_seconds = 1.5
"""


@pytest.mark.parametrize("herd", [200, pytest.param(1000, marks=pytest.mark.nightly)])
async def test_r11_a_herd_at_a_cold_model_makes_one_load(herd: int, serving: Any, bar: Any) -> None:
    live = serving(f"[queue]\nmax_waiting = {herd}\n" + COLD + SOUND)
    listener = Listener(live)
    statuses = [status for status, _ in await _herd(live, herd)]
    assert statuses == [200] * herd
    assert live.metrics()['hyperllama_model_loads_total{model="cold",outcome="loaded"}'] == 1
    listener.end()
    bar.record(f"{herd} requests, 1 load", rounds=herd)


async def test_r11_a_failed_load_fails_the_herd_and_the_next_request_tries_again(serving: Any, bar: Any) -> None:
    live = serving(COLD + 'fail_load = "no such luck"\nfail_loads = 1\n' + SOUND)
    listener = Listener(live)
    answers = await _herd(live, 200)
    assert {status for status, _ in answers} == {500}
    times = [at for _, at in answers]
    assert live.metrics()['hyperllama_model_loads_total{model="cold",outcome="failed"}'] == 1
    assert live.ask(PATHS[0], chat("cold", stream=False))[0] == 200
    assert live.metrics()['hyperllama_model_loads_total{model="cold",outcome="loaded"}'] == 1
    listener.end()
    bar.record(f"all told within {(max(times) - min(times)) * 1e3:.0f} ms of the first", rounds=200)
    bar.within(max(times) - min(times), 1.0)


async def _herd(live: Any, count: int) -> list[tuple[int, float]]:
    """Status of each, and when it came."""
    wire = asked(PATHS[0], chat("cold", stream=False, max_tokens=2))

    async def one() -> tuple[int, float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(wire)
        head = await reader.readuntil(b"\r\n\r\n")
        at = time.monotonic()
        writer.close()
        return int(head.split()[1]), at

    return list(await asyncio.gather(*(one() for _ in range(count))))


def test_a_whole_stream_is_what_the_error_checks_would_refuse(serving: Any) -> None:
    """The control of the checks above: a good stream has no error to show."""
    live = serving(SOUND)
    with live.chat("sound", max_tokens=3) as client:
        _, _, body = answer(client)
    assert len(text_of(events(body)).split()) >= 1
    with pytest.raises(AssertionError):
        error_of(PATHS[0], body)
