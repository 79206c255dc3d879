"""Limits shared through a real Redis, and without one when it is gone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from hyperllama.config import Allowance, Limits
from hyperllama.errors import ConfigError, RateLimited
from hyperllama.generation import Usage
from hyperllama.limits.rate_limits import RateLimits

pytest.importorskip("redis", reason="the extra redis is not installed")
if shutil.which("redis-server") is None:
    pytest.skip("redis-server is not installed", allow_module_level=True)


class Redis:
    """A server of this test's own."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory, self.port = directory, port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            ["redis-server", *arguments, "--dir", str(self.directory)], stdout=subprocess.DEVNULL
        )
        for _ in range(1000):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
            time.sleep(0.01)
        raise AssertionError("redis-server does not answer")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Redis(tmp_path, port)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def open_gates(
    stack: AsyncExitStack, redis: Redis, count: int, *, timeout: float = 10.0, **allowance: Any
) -> list[RateLimits]:
    """The timeout is long where it is not what is tested: a busy machine is no absent Redis."""
    limits = Limits(storage=redis.url, timeout=timeout, key=Allowance(**allowance))
    return [await stack.enter_async_context(RateLimits(limits)) for _ in range(count)]


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - Redis has no event to wait for
            await asyncio.sleep(0.01)


async def test_eight_gateways_admit_together_what_one_would(make_call, redis, stack) -> None:
    gates = await open_gates(stack, redis, 8, requests="500/hour")

    async def hammer(gate: RateLimits) -> int:
        admitted = 0
        for _ in range(100):
            with suppress(RateLimited):
                await gate.enter(make_call())
                admitted += 1
        return admitted

    admitted = await asyncio.gather(*(hammer(gate) for gate in gates for _ in range(2)))
    assert sum(admitted) == 500


async def test_tokens_refunded_by_one_gateway_are_there_for_another(make_call, end, redis, stack) -> None:
    one, two = await open_gates(stack, redis, 2, tokens="100/hour")
    call = make_call(prompt="x" * 40, max_tokens=80)
    await one.enter(call)
    assert call.headers["x-ratelimit-remaining-tokens"] == "10"
    with pytest.raises(RateLimited) as refused:
        await two.enter(make_call(prompt="x" * 40, max_tokens=80))
    assert 3000 < refused.value.retry_after <= 3660
    await end(call, usage=Usage(10, 5))
    await until(lambda: not one._shared._refunds)
    probe = make_call(prompt="x" * 4, max_tokens=0)
    await until(lambda: not one._shared._sent)
    await two.enter(probe)
    assert probe.headers["x-ratelimit-remaining-tokens"] == "84"


async def test_a_client_that_asks_again_at_once_finds_its_seat_free(make_call, end, redis, stack) -> None:
    (gate,) = await open_gates(stack, redis, 1, concurrent=1, requests="1000/minute")
    for _ in range(50):
        call = make_call()
        await gate.enter(call)
        await end(call, usage=Usage(1, 1))


async def test_seats_are_shared_and_those_of_a_dead_gateway_come_free(
    make_call, end, redis, stack, monkeypatch
) -> None:
    from hyperllama.limits import shared

    monkeypatch.setattr(shared, "ALIVE", 1)
    monkeypatch.setattr(shared, "BEAT", 0.2)
    one, two = await open_gates(stack, redis, 2, concurrent=2)
    calls = [make_call(), make_call()]
    await one.enter(calls[0])
    await one.enter(calls[1])
    with pytest.raises(RateLimited, match="same time"):
        await two.enter(make_call())
    await asyncio.sleep(1.5)  # beats keep them
    with pytest.raises(RateLimited, match="same time"):
        await two.enter(make_call())
    for task in list(one._shared._tasks):  # it dies
        task.cancel()

    async def free() -> bool:
        try:
            await two.enter(make_call())
        except RateLimited:
            return False
        return True

    async with asyncio.timeout(10):
        while not await free():  # noqa: ASYNC110 - nor has a gateway's death
            await asyncio.sleep(0.1)


async def test_callers_who_leave_while_redis_is_asked_cost_nothing(make_call, redis, stack) -> None:
    (gate,) = await open_gates(stack, redis, 1, requests="1000/hour", concurrent=50)
    entered = 0
    for turn in range(30):
        tasks = [asyncio.create_task(gate.enter(make_call())) for _ in range(5)]
        for _ in range(turn % 10):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        entered += ends.count(None)
        await until(lambda: not gate._shared._sent)
    assert entered < 75
    shared = gate._shared
    await until(lambda: not (shared._sent or shared._refunds or shared._moves))
    probe = make_call()
    await gate.enter(probe)
    assert probe.headers["x-ratelimit-remaining-requests"] == str(999 - entered)
    assert list(shared._held.values()) == [1 + entered]


async def test_r14_a_redis_that_is_stopped_never_means_unlimited(make_call, redis, stack, bar) -> None:
    gates = await open_gates(stack, redis, 2, requests="20/hour")
    await gates[0].enter(make_call())
    await gates[1].enter(make_call())
    await gates[0].enter(make_call())
    redis.stop()
    admitted = 0
    for _ in range(200):
        with suppress(RateLimited):
            await gates[0].enter(make_call())
            admitted += 1
    assert admitted == 8  # half of the limit, of which it had used two
    assert gates[0]._shared.down
    redis.start()
    await until(lambda: not gates[0]._shared.down and not gates[0]._shared._charges)
    probe = make_call()
    await gates[0].enter(probe)
    assert not gates[0]._shared.down
    # The new server has forgotten what was used before; what was used meanwhile it has been told.
    assert probe.headers["x-ratelimit-remaining-requests"] == str(20 - 8 - 1)
    bar.record("without Redis half the limit, by each of two gateways", rounds=200)


async def test_r14_a_black_hole_holds_few_requests_and_none_for_longer_than_the_timeout(
    make_call, redis, stack, bar
) -> None:
    (gate,) = await open_gates(stack, redis, 1, timeout=0.25, requests="100000/hour")
    await gate.enter(make_call())
    assert redis.process is not None
    os.kill(redis.process.pid, signal.SIGSTOP)
    waited, longest = 0, 0.0
    for _ in range(100):
        coroutine = gate.enter(make_call())
        try:
            coroutine.send(None)  # done at once: nobody was asked
        except StopIteration:
            continue
        coroutine.close()
        waited += 1
        began = time.monotonic()
        async with asyncio.timeout(5):
            await gate.enter(make_call())
        longest = max(longest, time.monotonic() - began)
    assert waited <= 3
    bar.record(f"black hole: {waited} requests waited, {longest * 1e3:.0f} ms at most", rounds=100)
    assert gate._shared.down
    os.kill(redis.process.pid, signal.SIGCONT)
    await until(lambda: not gate._shared.down)
    await gate.enter(make_call())
    assert not gate._shared.down


async def test_a_gateway_starts_without_redis_and_finds_it_later(make_call, redis, stack) -> None:
    redis.stop()
    (gate,) = await open_gates(stack, redis, 1, requests="2/hour")
    await gate.enter(make_call())
    await gate.enter(make_call())
    with pytest.raises(RateLimited):
        await gate.enter(make_call())
    redis.start()
    await until(lambda: not gate._shared.down and not gate._shared._charges)
    with pytest.raises(RateLimited):
        await gate.enter(make_call())


async def test_leaving_settles_what_is_owed(make_call, end, redis) -> None:
    async with AsyncExitStack() as stack:
        (gate,) = await open_gates(stack, redis, 1, tokens="100/hour", concurrent=1)
        call = make_call(prompt="x" * 40, max_tokens=80)
        await gate.enter(call)
        await end(call, usage=Usage(1, 1))
    async with AsyncExitStack() as stack:
        (gate,) = await open_gates(stack, redis, 1, tokens="100/hour", concurrent=1)
        probe = make_call(prompt="x" * 4, max_tokens=0)
        await gate.enter(probe)
        assert probe.headers["x-ratelimit-remaining-tokens"] == "97"


def test_a_url_that_is_none_is_refused_at_start() -> None:
    from hyperllama import config

    with pytest.raises(ConfigError, match="redis:// URL"):
        config.load(None, {"HYPERLLAMA_LIMITS_STORAGE": "mongodb://x"})
