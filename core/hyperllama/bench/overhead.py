"""What the gateway process itself costs: processor time a token and a request, on the sim engine."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import msgspec

from hyperllama.bench import child, procs
from hyperllama.bench.load import Shot, Target, percentile, shoot
from hyperllama.memory import resident

CONFIG = """
[server]
port = 0
[models.sim]
engine = "sim"
max_batch_size = 512
[models.sim.options]
tokens_per_second = {pace}
answer_tokens = {tokens}
[logs]
level = "{level}"
"""

PATHS = {
    "openai": ("/v1/chat/completions", {"model": "sim", "messages": [{"role": "user", "content": "hello"}]}, b"\n\n"),
    "ollama": ("/api/chat", {"model": "sim", "messages": [{"role": "user", "content": "hello"}]}, b"\n"),
}


class Overhead(msgspec.Struct, frozen=True):
    """Microseconds of processor time of the gateway process; milliseconds of wall time."""

    dialect: str
    streams: int
    per_token_us: float
    tokens_per_second: float
    per_request_us: float
    request_p50_ms: float
    ttft_p50_ms: float
    gap_p99_ms: float


def measure(*, streams: int = 64, tokens: int = 200, requests: int = 2000, pace: float = 100.0) -> Iterator[str]:
    """Lines of the report. Starts a gateway, pins it and the load to a core each. Blocks for about half a minute."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[1]})
    config = CONFIG.format(pace=pace, tokens=tokens, level="info")
    with child.gateway(config, cores={cores[0]}) as server:
        yield f"listening after {server.started_in:.2f} s, {resident(server.pid) / 2**20:.0f} MiB resident"
        for dialect in PATHS:
            row = asyncio.run(_one(server, dialect, streams=streams, tokens=tokens, requests=requests))
            yield (
                f"{row.dialect}: {row.per_token_us:.1f} us a streamed token at {row.streams} streams "
                f"({row.tokens_per_second:,.0f} tokens/s, gap p99 {row.gap_p99_ms:.1f} ms); "
                f"{row.per_request_us:.0f} us a short request (p50 {row.request_p50_ms:.2f} ms alone, "
                f"first token after {row.ttft_p50_ms:.2f} ms)"
            )
        yield f"{resident(server.pid) / 2**20:.0f} MiB resident afterwards"


async def _one(server: child.Server, dialect: str, *, streams: int, tokens: int, requests: int) -> Overhead:
    stream, short = _target(server, dialect, stream=True), _target(server, dialect, stream=False)
    await shoot(short, clients=4, shots=50)  # warm
    began, cpu = time.monotonic(), procs.cpu_seconds(server.pid)
    shots = await shoot(stream, clients=streams, shots=3)
    took, streamed = time.monotonic() - began, procs.cpu_seconds(server.pid) - cpu
    made = len(shots) * tokens
    cpu = procs.cpu_seconds(server.pid)
    few = await shoot(short, clients=8, shots=requests // 8)
    requested = procs.cpu_seconds(server.pid) - cpu
    alone = await shoot(short, clients=1, shots=100)
    first = await shoot(_target(server, dialect, stream=True, tokens=2), clients=1, shots=50)
    _all_answered([*shots, *few, *alone])
    return Overhead(
        dialect=dialect,
        streams=streams,
        per_token_us=streamed / made * 1e6,
        tokens_per_second=made / took,
        per_request_us=requested / len(few) * 1e6,
        request_p50_ms=percentile([shot.ended - shot.began for shot in alone], 0.5) * 1e3,
        ttft_p50_ms=percentile([shot.first - shot.began for shot in first], 0.5) * 1e3,
        gap_p99_ms=percentile([gap for shot in shots for gap in shot.gaps], 0.99) * 1e3,
    )


def _target(server: child.Server, dialect: str, *, stream: bool, tokens: int | None = None) -> Target:
    path, body, separator = PATHS[dialect]
    limit = tokens if tokens is not None else None if stream else 1
    cut = {"max_tokens": limit} if dialect == "openai" else {"options": {"num_predict": limit}}
    full = {**body, "stream": stream, **(cut if limit else {})}
    return Target("127.0.0.1", server.port, path, msgspec.json.encode(full), separator)


def _all_answered(shots: list[Shot]) -> None:
    bad = [shot for shot in shots if shot.status != 200 or not shot.ended]
    if bad:
        raise RuntimeError(f"{len(bad)} of {len(shots)} requests failed, the first with status {bad[0].status}")


__all__ = ("Overhead", "measure")
