"""Twenty keys ask for twice what a model can do: what is served, to whom, and how soon the others hear no.

    python tests/bench/overload.py [sim|max] [seconds]

A gateway of its own process serves; this process asks: first as much as fits (the peak), then an open-loop Zipf mix of
keys with different weights at twice the peak, then now and then. Figures of a minute or more go to
tests/bench/results/overload-<engine>.json.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from hyperllama.testing import child
from hyperllama_bench.load import percentile

KEYS = 20
SHARES = [1 / (rank + 1) for rank in range(KEYS)]  # of what is asked
WEIGHTS = [(1.0, 2.0, 4.0)[rank % 3] for rank in range(KEYS)]  # of what each is owed
RESULTS = Path(__file__).parent / "results"
MODELS = {
    "sim": """
[models.m]
engine = "sim"
max_batch_size = 32
preload = true
[models.m.options]
tokens_per_second = 50
""",
    "max": """
[models.m]
engine = "max"
source = "builtin:hyperllama-tiny"
max_batch_size = 16
max_length = 1024
preload = true
""",
}
TOKENS = {"sim": 20, "max": 48}
CONFIG = """
[server]
port = 0
[queue]
max_waiting = 128
max_wait = "10s"
[logs]
level = "info"
"""


class Ask(msgspec.Struct):
    """One request. Times are monotonic seconds; ``status`` 0: no answer came."""

    key: int
    began: float
    answered: float = 0.0
    ended: float = 0.0
    status: int = 0
    retry_after: bool = False


class Figures(msgspec.Struct, frozen=True):
    engine: str
    seconds: float
    peak: float  # requests a second, closed loop
    offered: float  # requests a second
    goodput: float  # share of the peak
    refused: int
    refused_p99_ms: float
    without_retry_after: int
    other: int  # answers that were neither
    worst_share: float  # how far a key's share is from what its weight and its asking give it
    unloaded_ms: float  # first byte, nobody else there
    loaded_p99_ms: float  # first byte of who was let in
    recovered_s: float  # until a first byte comes as soon as unloaded, twice over


def secret(key: int) -> str:
    return f"key-{key}-of-the-load"


def config(engine: str) -> str:
    keys = "".join(
        f'[keys.static.k{key}]\nhash = "sha256:{hashlib.sha256(secret(key).encode()).hexdigest()}"\n'
        f"weight = {WEIGHTS[key]}\n"
        for key in range(KEYS)
    )
    return CONFIG + keys + MODELS[engine]


async def ask(port: int, key: int, tokens: int) -> Ask:
    body = msgspec.json.encode(
        {
            "model": "m",
            "messages": [{"role": "user", "content": "What port does the gateway listen on?"}],
            "max_tokens": tokens,
            "min_tokens": tokens,
            "ignore_eos": True,
            "stream": True,
        }
    )
    found = Ask(key, time.monotonic())
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return found
    try:
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (secret(key).encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        found.answered = time.monotonic()
        rest = await reader.read(-1)
        found.status = int(head[9:12])
        found.retry_after = b"retry-after: " in head.lower()
        if found.status == 200 and not rest.endswith(b"0\r\n\r\n"):
            found.status = 0
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        found.ended = time.monotonic()
        writer.close()
    return found


async def peak(port: int, places: int, tokens: int, seconds: float) -> float:
    """Requests a second that are finished when there are always enough; the first second does not count."""
    began = time.monotonic()
    done = 0

    async def client(key: int) -> None:
        nonlocal done
        while time.monotonic() < began + seconds + 1:
            found = await ask(port, key, tokens)
            if found.status == 200 and began + 1 < found.ended < began + 1 + seconds:
                done += 1

    await asyncio.gather(*(client(number % KEYS) for number in range(places * 2)))
    return done / seconds


async def overload(port: int, rate: float, tokens: int, seconds: float) -> list[Ask]:
    """An open loop: nobody waits for an answer before the next asks."""
    rng = random.Random(10)
    tasks = []
    due = began = time.monotonic()
    while due < began + seconds:
        key = rng.choices(range(KEYS), SHARES)[0]
        tasks.append(asyncio.create_task(ask(port, key, tokens)))
        due += rng.expovariate(rate)
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
    return [await task for task in tasks]


async def recovery(port: int, tokens: int, normal: float) -> float:
    """Seconds until a newcomer's first byte comes within twice the usual time, twice in a row."""
    began = time.monotonic()
    good = 0
    while good < 2 and time.monotonic() < began + 60:
        found = await ask(port, 0, tokens)
        good = good + 1 if found.status == 200 and found.answered - found.began <= 2 * normal + 0.02 else 0
    return time.monotonic() - began


def fair(offered: list[float], weights: list[float], total: float) -> list[float]:
    """Weighted max-min: who asks for less than its weight gives it gets all of it; the others share the rest."""
    got = [0.0] * len(offered)
    open_ = set(range(len(offered)))
    while open_:
        level = total / sum(weights[key] for key in open_)
        content = {key for key in open_ if offered[key] <= level * weights[key]}
        for key in content or open_:
            got[key] = offered[key] if content else level * weights[key]
            total -= got[key]
        open_ -= content or open_
    return got


async def measure(engine: str, seconds: float, port: int, places: int) -> Figures:
    tokens = TOKENS[engine]
    alone = [await ask(port, 0, tokens) for _ in range(5)]
    normal = percentile([one.answered - one.began for one in alone], 0.5)
    most = await peak(port, places, tokens, max(1.0, seconds / 6))
    began = time.monotonic()
    asked = await overload(port, 2 * most, tokens, seconds)
    recovered = await recovery(port, tokens, normal)
    # What had begun when the line was not full yet is no share of a full line, and neither is what was left at the end.
    start, end = began + seconds / 10, began + seconds
    during = [one for one in asked if start <= one.ended <= end]
    served = [one for one in during if one.status == 200]
    refused = [one for one in asked if one.status in (429, 503)]
    offered = [sum(one.key == key and start <= one.began <= end for one in asked) * 1.0 for key in range(KEYS)]
    got = [sum(one.key == key for one in served) for key in range(KEYS)]
    owed = fair(offered, WEIGHTS, len(served))
    off = [abs(have - due) / due for have, due in zip(got, owed, strict=True) if due]
    return Figures(
        engine=engine,
        seconds=seconds,
        peak=round(most, 1),
        offered=round(len(asked) / seconds, 1),
        goodput=round(len(served) / (end - start) / most, 3),
        refused=len(refused),
        refused_p99_ms=round(percentile([one.answered - one.began for one in refused], 0.99) * 1e3, 1),
        without_retry_after=sum(not one.retry_after for one in refused),
        other=sum(one.status not in (200, 429, 503) for one in asked),
        worst_share=round(max(off), 3),
        unloaded_ms=round(normal * 1e3, 1),
        loaded_p99_ms=round(percentile([one.answered - one.began for one in served], 0.99) * 1e3, 1),
        recovered_s=round(recovered, 2),
    )


def main(engine: str = "sim", seconds: float = 60.0) -> Figures:
    cores = sorted(os.sched_getaffinity(0))
    pinned = len(cores) > 1 and engine == "sim"  # MAX needs both
    if pinned:
        os.sched_setaffinity(0, {cores[1]})
    with child.gateway(config(engine), cores={cores[0]} if pinned else None) as server:
        return uvloop.run(measure(engine, seconds, server.port, 32 if engine == "sim" else 16))


if __name__ == "__main__":
    engine = sys.argv[1] if len(sys.argv) > 1 else "sim"
    figures = main(engine, float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
    text = json.dumps(msgspec.to_builtins(figures), indent=1)
    print(text)
    if figures.seconds >= 60:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"overload-{engine}.json").write_text(text + "\n", "utf-8")
