"""MAX's engine killed and stopped at every moment of an answer, with a second model at work beside it.

One round by default; a hundred at night, or as many as HYPERLLAMA_KILL_ROUNDS says.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from hyperllama.testing.running import RunningGateway
from tests.support.killing import CONFIG, GRACE, Campaign, campaign, report

pytestmark = [
    pytest.mark.max,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(importlib.util.find_spec("max") is None, reason="MAX is not installed"),
]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    running = RunningGateway.launch(tmp_path, CONFIG)
    running.wait_listening()
    running.wait_ready()
    yield running
    below = psutil.Process(running.process.pid).children(recursive=True)
    assert running.stop() == 0
    assert not psutil.wait_procs(below, timeout=5)[1]


async def fight(gateway: RunningGateway, rounds: int) -> Campaign:
    async with campaign(gateway) as found:
        await found.run(rounds)
    for each in found.rounds:
        assert not each.wrong, each
    assert all(stream.whole for stream in found.witness)  # the other model never notices
    below = psutil.Process(gateway.process.pid).children(recursive=True)
    assert not [process for process in below if process.status() == psutil.STATUS_ZOMBIE]
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        metrics = (await client.get("/metrics")).text
    assert re.search(r"^hyperllama_generations_running 0\.0$", metrics, re.MULTILINE)
    return found


def test_a_killed_engine_is_reported_at_once_and_comes_back(gateway: RunningGateway) -> None:
    found = asyncio.run(fight(gateway, 1))
    assert sum(len(each.told) for each in found.rounds) >= 2


@pytest.mark.nightly
def test_rounds_of_kills_and_stops_keep_to_the_bars(gateway: RunningGateway) -> None:
    found = asyncio.run(fight(gateway, int(os.environ.get("HYPERLLAMA_KILL_ROUNDS", "100"))))
    print("\n".join(report(found)))
    for each in found.rounds:
        assert max(each.told, default=0) < (0.5 if each.signal == "SIGKILL" else 12.0)
        assert each.rested or each.back < each.load + GRACE + (0 if each.signal == "SIGKILL" else 12.0)
