"""Clients that leave: their work ends with them, at once, and nobody else's does."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from typing import Any

import httpx
import psutil
import pytest

from hyperllama_bench.load import percentile
from tests.support.live import (
    active_and_running,
    answer,
    asked,
    chat,
    events,
    keys,
    leave,
    text_of,
    unchunked,
    until,
    whole,
)

SLOW = """
[models.slow]
engine = "sim"
max_batch_size = 256
[models.slow.options]
tokens_per_second = 50
answer_tokens = 2000
"""
LATE = SLOW + "ttft_ms = 2000\n"
NARROW = SLOW.replace("max_batch_size = 256", "max_batch_size = 1")
HOW = ("close", "reset")


class Aborts:
    """When the engine heard of each abort, and which requests it heard of."""

    def __init__(self, live: Any, model: str) -> None:
        live.ask("/api/generate", {"model": model})  # loads it
        self.batch = live.batch(model)
        self.times: list[float] = []
        self.places: list[object] = []
        original = self.batch.cancel

        def cancel(place: Any) -> None:
            self.times.append(time.monotonic())
            self.places.append(place)
            original(place)
            place.chunks, place.ahead, place.sink = iter(()), [], None  # kept for its identity, not for what it held

        self.batch.cancel = cancel


async def _leave_and_measure(live: Any, aborts: Aborts, clients: list[Any]) -> list[float]:
    """Seconds from each client's leaving to the abort in the engine, one after another."""
    delays = []
    for number, client in enumerate(clients):
        before = len(aborts.times)
        left = time.monotonic()
        leave(client, HOW[number % 2])
        live.until(lambda before=before: len(aborts.times) > before, 10)
        delays.append(aborts.times[before] - left)
    return delays


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.nightly)])
async def test_r01_leaving_mid_stream_aborts_in_the_engine(count: int, serving: Any, bar: Any) -> None:
    live = serving(SLOW)
    aborts = Aborts(live, "slow")
    clients = [live.chat("slow") for _ in range(count)]
    for client in clients:
        until(client, b"data: ")
    delays = await _leave_and_measure(live, aborts, clients)
    freed = live.until(lambda: live.active("slow") == 0)
    made = aborts.batch.tokens
    assert aborts.batch.running == 0
    assert live.on_loop(lambda: aborts.batch.tokens) == made
    assert len(aborts.places) == len(set(map(id, aborts.places))) == count
    late = percentile(delays, 0.99)
    bar.record(f"abort p99 {late * 1e3:.1f} ms, all places free {freed * 1e3:.0f} ms later", rounds=count)
    bar.within(late, 0.1)
    bar.within(freed, 1.0)


@pytest.mark.parametrize("count", [6, pytest.param(100, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("place", ["whole", "prefill", "queued"])
async def test_r02_leaving_before_the_first_token_costs_nothing_more(
    place: str, count: int, serving: Any, bar: Any
) -> None:
    live = serving({"whole": SLOW, "prefill": LATE, "queued": NARROW}[place])
    aborts = Aborts(live, "slow")
    first = live.chat("slow") if place == "queued" else None
    if first is not None:
        until(first, b"data: ")
    admitted = aborts.batch.admitted
    clients = [live.chat("slow", stream=place != "whole") for _ in range(count)]
    if place == "queued":
        live.until(lambda: live.app.limits.queue.states()[0].waiting == count)
        for number, client in enumerate(clients):
            leave(client, HOW[number % 2])
        freed = live.until(lambda: live.app.limits.queue.states()[0].waiting == 0)
        assert aborts.batch.admitted == admitted  # the engine never heard of them
        assert live.active("slow") == 1
        assert first is not None
        leave(first, "close")
        bar.within(freed, 1.0)
    else:
        live.until(lambda: live.active("slow") == count)
        delays = await _leave_and_measure(live, aborts, clients)
        bar.record(f"abort p99 {percentile(delays, 0.99) * 1e3:.1f} ms", rounds=2 * count)
        bar.within(percentile(delays, 0.99), 0.1)
    live.until(lambda: live.active("slow") == 0)
    series = live.metrics()
    assert series["hyperllama_generations_running"] == 0
    where = {"whole": "stream", "prefill": "engine", "queued": "queue"}[place]
    if place != "whole":
        name = f'hyperllama_cancellations_total{{model="slow",place="{where}",protocol="openai"}}'
        assert series[name] == count


@pytest.mark.parametrize(("waves", "size"), [(1, 150), pytest.param(20, 500, marks=pytest.mark.nightly)])
async def test_r03_a_storm_of_cancels_leaves_nothing_behind(waves: int, size: int, serving: Any, bar: Any) -> None:
    live = serving(SLOW)
    aborts = Aborts(live, "slow")
    rng = random.Random(3)
    wire = asked("/v1/chat/completions", chat("slow"))

    async def come_and_go() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(wire)
        await asyncio.sleep(rng.random() / 2)  # the client's own patience
        if rng.random() < 0.5:
            writer.transport.abort()
        writer.close()
        del reader

    def first_token() -> float:
        began = time.monotonic()
        with live.chat("slow") as one:
            until(one, b"data: ")
        return time.monotonic() - began

    before = sorted(first_token() for _ in range(5))[2]
    await asyncio.gather(*(come_and_go() for _ in range(size)))  # the clients' own memory is in this process, too
    gc.collect()
    memory = psutil.Process().memory_info().rss
    for _ in range(waves):
        await asyncio.gather(*(come_and_go() for _ in range(size)))
    clean = live.until(lambda: active_and_running(live, "slow") == (0, 0), 30)
    after = sorted(first_token() for _ in range(5))[2]
    live.until(lambda: active_and_running(live, "slow") == (0, 0))
    grown = psutil.Process().memory_info().rss - memory
    assert len(aborts.places) == len(set(map(id, aborts.places)))
    assert not live.guard.connections
    bar.record(
        f"clean after {clean:.2f} s, {grown / 2**20:+.1f} MiB, first token {after / before:.2f}x, 0 double aborts",
        rounds=waves * size,
    )
    bar.within(clean, 5.0)
    bar.within(grown, 20 * 2**20)
    bar.within(after / before, 1.2)


@pytest.mark.parametrize("pairs", [10, pytest.param(1000, marks=pytest.mark.nightly)])
async def test_r04_an_abort_ends_the_one_request_it_is_meant_for(pairs: int, serving: Any, bar: Any) -> None:
    """In a host, whose frames name requests: by numbers of our own, whatever ids the clients give."""
    live = serving(
        """
[models.sim]
engine = "sim"
[models.sim.options]
placement = "host"
tokens_per_second = 200
answer_tokens = 6
"""
    )
    asked_for = "/v1/chat/completions"
    live.ask(asked_for, chat("sim", max_tokens=1, stream=False))
    model = live.engine("sim")
    for number in range(pairs):
        short, long = f"abc{number}", f"abc{number}d"
        left = live.post(asked_for, chat("sim"), x_request_id=short)
        stays = live.post(asked_for, chat("sim"), x_request_id=long)
        got = until(stays, b"data: ")
        assert all(isinstance(key, int) for key in live.on_loop(lambda: list(model._pending._entries)))
        leave(left, HOW[number % 2])
        head, _, body = (got + whole(stays) if not got.endswith(b"0\r\n\r\n") else got).partition(b"\r\n\r\n")
        assert f"x-request-id: {long}".encode() in head
        found = events(unchunked(body))
        assert found[-1] == "[DONE]"
        assert len(text_of(found).split()) >= 1
        stays.close()
    live.until(lambda: live.active("sim") == 0)
    bar.record(f"0 of {pairs:,} pairs", rounds=pairs)


async def test_r04_no_key_cancels_what_another_key_began(serving: Any, bar: Any) -> None:
    live = serving(SLOW + keys(one="", two=""))
    one, two = ({"authorization": f"Bearer {name}-secret"} for name in ("one", "two"))
    async with httpx.AsyncClient(base_url=live.url, timeout=60) as http:
        body = {"model": "slow", "input": "hi", "background": True}
        begun = (await http.post("/v1/responses", json=body, headers=one)).json()
        for method, path in (("POST", "/cancel"), ("GET", ""), ("DELETE", "")):
            theirs = await http.request(method, f"/v1/responses/{begun['id']}{path}", headers=two)
            assert theirs.status_code == 404
        assert live.active("slow") == 1
        ours = await http.post(f"/v1/responses/{begun['id']}/cancel", headers=one)
        assert ours.json()["status"] == "cancelled"
    live.until(lambda: live.active("slow") == 0)
    bar.record("another key's cancel is 404", rounds=3)


def test_an_answer_is_read_whole(serving: Any) -> None:
    """The reader that the tests of this folder trust."""
    live = serving('[models.sim]\nengine = "sim"\n')
    for stream in (True, False):
        with live.chat("sim", stream=stream) as one:
            status, headers, body = answer(one)
        assert status == 200
        assert headers["content-type"].startswith("text/event-stream" if stream else "application/json")
        assert body.endswith((b"[DONE]\n\n", b"}"))
