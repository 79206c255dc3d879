"""Twice what a model can do, asked by twenty keys on a virtual clock; tests/bench/overload.py does it on a real one."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter

from hyperllama.config import Queue
from hyperllama.errors import Overloaded
from hyperllama.generation import GenerationRequest, Sampling, Usage
from hyperllama.identity import Caller, Principal
from hyperllama.messages import Prompt
from hyperllama.models import ModelInfo
from hyperllama.queue.queue import FairQueue
from hyperllama.spi import Call


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_r36_twenty_keys_at_twice_the_capacity_share_by_weight_on_a_virtual_clock(bar) -> None:
    """A Zipf mix, open loop, 8 places of 1 s: goodput is all of the capacity, shares of the backlogged are even."""
    rng = random.Random(11)
    now = [0.0]
    queue = FairQueue(Queue(max_waiting=200, max_wait=float("inf")), clock=lambda: int(now[0] * 1e9))
    info = ModelInfo(name="m", engine="sim", capabilities=frozenset(), context_length=4096, max_batch_size=8)
    shares = [1 / (rank + 1) for rank in range(20)]
    served: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    refused: list[float] = []  # seconds each had waited for its refusal
    events: list[tuple[float, int, Call]] = []
    tasks: set[asyncio.Task[None]] = set()
    count = 0

    async def client(key: str) -> None:
        nonlocal count
        came = now[0]
        request = GenerationRequest(model="m", input=Prompt("x" * 40), sampling=Sampling(max_tokens=20))
        call = Call(
            caller=Caller(protocol="t", principal=Principal(id=key), request_id="r"), request=request, info=info
        )
        try:
            await queue.enter(call)
        except Overloaded:
            refused.append(now[0] - came)
            return
        count += 1
        served[key] += 1
        heapq.heappush(events, (now[0] + 1.0, count, call))

    arrival = 0.0
    while now[0] < 300:
        arrival += rng.expovariate(16.0)
        while events and events[0][0] <= arrival:
            now[0], _, call = heapq.heappop(events)
            call.outcome, call.usage = "finished", Usage(10, 20)
            await call.finish()
            await settle()
        now[0] = arrival
        key = f"k{rng.choices(range(20), shares)[0]}"
        asked[key] += 1
        task = asyncio.create_task(client(key))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await settle()
    for task in tasks:
        task.cancel()
    total = sum(served.values())
    assert total >= 0.98 * 8 * 300
    assert len(refused) > 1000
    assert sum(wait > 0.05 for wait in refused) <= len(refused) / 100
    # Max-min fair: who asks for less than an even share gets all of it, the others get equal shares.
    offered = [float(asked[f"k{rank}"]) for rank in range(20)]
    level, rest, open_ = 0.0, float(total), sorted(offered)
    for index, want in enumerate(open_):
        level = rest / (len(open_) - index)
        if want > level:
            break
        rest -= want
    off = [abs(served[f"k{rank}"] - min(want, level)) / min(want, level) for rank, want in enumerate(offered)]
    assert max(off) <= 0.1
    late = sum(wait > 0.05 for wait in refused) / len(refused)
    bar.record(
        f"virtual clock: worst of 20 keys {max(off):.1%} off, goodput {total / 2400:.0%}, {late:.1%} refused late",
        rounds=sum(asked.values()),
    )
