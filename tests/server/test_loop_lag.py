"""A loop that is kept busy is seen to be late by as much."""

from __future__ import annotations

import asyncio
import time

import pytest

from hyperllama.server.loop_lag import INTERVAL, STALL, LoopLag


async def test_a_blocked_loop_is_noticed_and_told_once() -> None:
    told: asyncio.Queue[float] = asyncio.Queue()
    lag = LoopLag(on_stall=told.put_nowait)
    lag.start()
    try:
        time.sleep(INTERVAL + STALL + 0.15)  # noqa: ASYNC251 - the fault itself
        async with asyncio.timeout(5):
            delay = await told.get()
    finally:
        lag.stop()
    assert delay >= STALL
    assert lag.stalls >= 1
    assert lag.take_worst() >= delay
    assert lag.take_worst() == 0.0


async def test_lateness_is_what_the_clock_says() -> None:
    now = 100.0
    lag = LoopLag(clock=lambda: now)
    loop = asyncio.get_running_loop()
    lag._wake(loop, 99.97)
    lag._wake(loop, 99.98)
    lag.stop()
    assert lag.last == pytest.approx(0.02)
    assert lag.take_worst() == pytest.approx(0.03)
    assert lag.stalls == 0


async def test_a_clock_that_goes_back_is_no_negative_delay() -> None:
    lag = LoopLag(clock=lambda: 0.0)
    lag._wake(asyncio.get_running_loop(), 5.0)
    lag.stop()
    assert lag.last == 0.0
