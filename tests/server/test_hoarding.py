"""Many connections that do nothing, or drip, cost the others little: none is refused, and their times hold."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEADS = (b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n")


async def ask(port: int) -> float:
    """Seconds that one request on a fresh connection takes."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    answer = await reader.readuntil(b"\r\n\r\n0")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    return time.perf_counter() - began


async def drip(port: int, head: bytes, stop: asyncio.Event) -> None:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        while not stop.is_set():
            await asyncio.sleep(1)  # the attacker's pace
            writer.write(b"x" if head else b"")
            await writer.drain()
        writer.close()
    except ConnectionError:
        return


@pytest.mark.parametrize(
    "count", [60, pytest.param(500, marks=pytest.mark.nightly), pytest.param(2000, marks=pytest.mark.nightly)]
)
async def test_s03_honest_clients_are_answered_among_many_that_drip(
    count: int, serving: Callable[..., Any], bar: Any
) -> None:
    served = serving()
    calm = [await ask(served.port) for _ in range(min(count, 200))]
    stop = asyncio.Event()
    hoard = [asyncio.create_task(drip(served.port, HEADS[number % 3], stop)) for number in range(count)]
    pressed = []
    while len(served.guard.connections) < count:
        pressed.append(await ask(served.port))
    pressed += [await ask(served.port) for _ in range(min(count, 200))]
    stop.set()
    await asyncio.gather(*hoard)
    assert not served.guard.refused
    before, during = (statistics.quantiles(each, n=100)[98] for each in (calm, pressed))
    bar.record(f"{count} that drip: 0 errors, p99 {during / before:.1f}x", rounds=len(pressed))
    bar.within(during, max(2 * before, 0.05))
