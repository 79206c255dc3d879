"""Many connections that do nothing, or drip, cost the others little: none is refused, and their times hold."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.nightly

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


@pytest.mark.parametrize("count", [500, 2000])
async def test_honest_clients_are_answered_among_many_that_drip(count: int, serving: Callable[..., Any]) -> None:
    served = serving()
    calm = [await ask(served.port) for _ in range(200)]
    stop = asyncio.Event()
    hoard = [asyncio.create_task(drip(served.port, HEADS[number % 3], stop)) for number in range(count)]
    pressed = []
    while len(served.guard.connections) < count:
        pressed.append(await ask(served.port))
    pressed += [await ask(served.port) for _ in range(200)]
    stop.set()
    await asyncio.gather(*hoard)
    assert statistics.quantiles(pressed, n=100)[98] <= max(2 * statistics.quantiles(calm, n=100)[98], 0.05)
    assert not served.guard.refused
