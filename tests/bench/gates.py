"""Microseconds of CPU that one request spends on its key, its limits and its place in the queue.

    python tests/bench/gates.py [rounds]

Each line is the best of five rounds: what the code costs, not what the machine was doing beside it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from hyperllama.auth.authenticator import Authenticator
from hyperllama.config import Allowance, Config, Limits, Queue, Store
from hyperllama.database.database import Database
from hyperllama.database.key_store import Key
from hyperllama.database.usage import Ledger
from hyperllama.errors import Overloaded
from hyperllama.generation import GenerationRequest, Sampling, Usage
from hyperllama.identity import Caller, Credentials, Principal
from hyperllama.limits.rate_limits import RateLimits
from hyperllama.messages import Prompt
from hyperllama.models import ModelInfo
from hyperllama.queue.queue import FairQueue
from hyperllama.spi import Call

INFO = ModelInfo(name="m", engine="sim", capabilities=frozenset({"completion"}), context_length=4096, max_batch_size=16)
REQUEST = GenerationRequest(model="m", input=Prompt("Why is the sky blue? " * 4), sampling=Sampling(max_tokens=64))
USAGE = Usage(21, 64)
ROOMY = Allowance(
    requests=("100000000/minute", "1000000000/hour"),
    tokens="1000000000000/minute",
    input_tokens="1000000000000/minute",
    output_tokens="1000000000000/minute",
    concurrent=1000,
)


def new(principal: Principal) -> Call:
    caller = Caller(protocol="bench", principal=principal, request_id="r")
    return Call(caller=caller, request=REQUEST, info=INFO, on_finish=[])


async def best(what: str, once: Callable[[], Awaitable[object]], rounds: int) -> float:
    """Prints and returns the CPU microseconds of one ``once()``."""
    lowest = float("inf")
    for _ in range(5):
        gc.collect()
        began = time.process_time()
        for _ in range(rounds):
            await once()
        lowest = min(lowest, (time.process_time() - began) / rounds * 1e6)
    print(f"{what:<58} {lowest:8.2f} us")
    return lowest


async def main(rounds: int) -> None:
    anyone = Principal(id="key_1", owner="acme", network="127.0.0.1")
    with tempfile.TemporaryDirectory() as directory:
        database = Database(Path(directory))
        config = Config(store=Store(path=directory), limits=Limits(key=ROOMY))
        async with Authenticator(config, database) as door, Ledger(database) as ledger:
            store = await door.key_cache.store()
            secret = (await store.create(Key(name="bench", owner="acme"), actor="bench")).secret
            sent = Credentials(token=secret, headers={}, client="127.0.0.1")
            limits, two, none = RateLimits(config.limits), RateLimits(_two()), RateLimits(Limits())
            queue = FairQueue(Queue())

            async def empty() -> None:
                call = new(anyone)
                call.outcome, call.usage = "finished", USAGE
                await call.finish()

            async def key() -> None:
                await door.authenticate(sent)

            def through(*gates: RateLimits | FairQueue) -> Callable[[], Awaitable[None]]:
                async def walk() -> None:
                    call = new(anyone)
                    for gate in gates:
                        await gate.enter(call)
                    call.outcome, call.usage = "finished", USAGE
                    await call.finish()

                return walk

            async def everything() -> None:
                principal = await door.authenticate(sent)
                assert principal is not None
                call = new(principal)
                await limits.enter(call)
                await queue.enter(call)
                call.outcome, call.usage = "finished", USAGE
                await call.finish()
                ledger.finished(call)

            done = new(anyone)
            done.outcome, done.usage = "finished", USAGE

            async def count() -> None:
                ledger.finished(done)

            base = await best("a call and nothing else (subtracted below)", empty, rounds)
            await best("key: believed, by HMAC-SHA256", key, rounds)
            costs = {
                "limits: none set": through(none),
                "limits: 2 windows and concurrency, with settlement": through(two),
                "limits: 5 windows and concurrency, with settlement": through(limits),
                "queue: a place is free": through(queue),
            }
            for what, walk in costs.items():
                print("  net of the call:", end=" ")
                whole = await best(what, walk, rounds)
                print(f"{'':<58} {whole - base:8.2f} us net")
            await best("usage: counted for the ledger", count, rounds)
            await best("all of it: key, 5 windows, concurrency, queue, usage", everything, rounds)
            await _contended(rounds)
        await database.close()


def _two() -> Limits:
    return Limits(key=Allowance(requests="100000000/minute", tokens="1000000000000/minute", concurrent=1000))


async def _contended(rounds: int) -> None:
    """A line that is never empty: 400 waiting of 50 principals, each served one followed by another comer."""
    queue = FairQueue(Queue(max_waiting=400))
    running: list[Call] = []
    principals = [Principal(id=f"k{number}", weight=1 + number % 3) for number in range(50)]
    turn = 0

    async def client() -> None:
        nonlocal turn
        turn += 1
        call = new(principals[turn % 50])
        try:
            await queue.enter(call)
        except Overloaded:
            return
        running.append(call)

    tasks = [asyncio.create_task(client()) for _ in range(416)]
    await asyncio.sleep(0)

    async def one() -> None:
        tasks.append(asyncio.create_task(client()))
        call = running.pop()
        call.outcome, call.usage = "finished", USAGE
        await call.finish()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def task_alone() -> None:
        task = asyncio.create_task(asyncio.sleep(0))
        await task

    await best("an asyncio task, for comparison", task_alone, rounds)
    await best("queue: 400 of 50 principals wait, through its own task", one, min(rounds, 2000))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
