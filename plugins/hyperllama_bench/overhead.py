"""The cost of the gateway process itself: processor time a token and a request, on the sim engine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from hyperllama.testing import child, processes
from hyperllama_bench import profile
from hyperllama_bench.load import Target, check, percentile, shoot
from hyperllama_bench.report import Plot, Report, Row, Say

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
level = "info"
"""
#: Everything that may refuse a request, on and never refusing.
GUARD = """
[keys]
required = true
[keys.static.bench]
hash = "sha256:{hash}"
[limits.key]
requests = "100000000/minute"
input_tokens = "100000000/minute"
output_tokens = "100000000/minute"
tokens = "100000000/minute"
concurrent = 100000
"""
KEY = "sk-bench"

PATHS = {
    "openai": ("/v1/chat/completions", {"model": "sim", "messages": [{"role": "user", "content": "hello"}]}, b"\n\n"),
    "ollama": ("/api/chat", {"model": "sim", "messages": [{"role": "user", "content": "hello"}]}, b"\n"),
}
PIECE = 190  # bytes of a token's event, about, for the bare server


class Load(msgspec.Struct, frozen=True):
    """The load on the gateway."""

    streams: int = 64
    tokens: int = 200
    requests: int = 2000
    pace: float = 100.0  # tokens a second of each stream; 0: as fast as they go
    guarded: bool = False  # with a key required, limits of every kind, and the queue


def measure(load: Load, say: Say) -> Report:
    """Start a gateway, pin it and the load to a core each, and report to ``say``. Block for half a minute."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[1]})
    report = Report(
        name="overhead-guarded" if load.guarded else "overhead",
        title=f"What the gateway process costs on the sim engine{', keys and limits on' if load.guarded else ''}",
        settings={name: getattr(load, name) for name in load.__struct_fields__},
        plots=(Plot("Processor time a streamed token, us", "per_token_us", "dialect", "streams"),),
    )
    config = CONFIG.format(pace=load.pace, tokens=load.tokens)
    if load.guarded:
        config += GUARD.format(hash=hashlib.sha256(KEY.encode()).hexdigest())
    with child.gateway(config, cores={cores[0]}) as server:
        say(f"listening after {server.started_in:.2f} s, {processes.resident(server.pid) / 2**20:.0f} MiB resident")
        for dialect in PATHS:
            row = asyncio.run(_one(server, dialect, load))
            report.rows.append(row)
            say(
                f"{dialect}: {row['per_token_us']:.1f} us a streamed token at {load.streams} streams "
                f"({row['tokens_per_second']:,.0f} tokens/s, gap p99 {row['gap_p99_ms']:.1f} ms); "
                f"{row['per_request_us']:.0f} us a short request (p50 {row['request_p50_ms']:.2f} ms alone, "
                f"first token after {row['ttft_p50_ms']:.2f} ms)"
            )
            for room, share in asyncio.run(_profile(server, dialect, load)):
                say(f"  {share:5.1%} {room}")
                row[room] = round(share, 3)
        say(f"{processes.resident(server.pid) / 2**20:.0f} MiB resident afterwards")
    bare = _bare(load, cores[0])
    report.rows.append({"dialect": "bare uvloop server", "streams": load.streams, "per_token_us": bare})
    say(f"for scale, a bare uvloop server that writes the same bytes: {bare:.1f} us a token")
    return report


async def _one(server: child.Server, dialect: str, load: Load) -> Row:
    stream, short = _target(server, dialect, load, stream=True), _target(server, dialect, load, stream=False)
    await shoot(short, clients=4, shots=50)  # warm
    began, cpu = time.monotonic(), processes.cpu_seconds(server.pid)
    shots = await shoot(stream, clients=load.streams, shots=3)
    took, streamed = time.monotonic() - began, processes.cpu_seconds(server.pid) - cpu
    made = len(shots) * load.tokens
    cpu = processes.cpu_seconds(server.pid)
    few = await shoot(short, clients=8, shots=load.requests // 8)
    requested = processes.cpu_seconds(server.pid) - cpu
    alone = await shoot(short, clients=1, shots=100)
    first = await shoot(_target(server, dialect, load, stream=True, tokens=2), clients=1, shots=50)
    check([*shots, *few, *alone])
    return {
        "dialect": dialect,
        "streams": load.streams,
        "per_token_us": streamed / made * 1e6,
        "tokens_per_second": made / took,
        "per_request_us": requested / len(few) * 1e6,
        "request_p50_ms": percentile([shot.ended - shot.began for shot in alone], 0.5) * 1e3,
        "ttft_p50_ms": percentile([shot.first - shot.began for shot in first], 0.5) * 1e3,
        "gap_p99_ms": percentile([gap for shot in shots for gap in shot.gaps], 0.99) * 1e3,
    }


async def _profile(server: child.Server, dialect: str, load: Load) -> list[tuple[str, float]]:
    """Return the profile of a separate run, since sampling costs time; empty without py-spy."""
    sampler = profile.command()
    if sampler is None:
        return []
    seconds = load.tokens / load.pace if load.pace else 1.0
    shots = 1 if load.pace else max(1, min(50, 60_000 // (load.tokens * load.streams)))
    work = shoot(_target(server, dialect, load, stream=True), clients=load.streams, shots=shots)
    return [*await profile.during(sampler, server.pid, work, seconds=seconds)]


def _bare(load: Load, core: int) -> float:
    """Return the microseconds a token of :mod:`hyperllama_bench.bare` under the same load."""
    with tempfile.TemporaryDirectory(prefix="hyperllama-bench-") as folder:
        log = Path(folder) / "log"
        arguments = (str(load.pace), str(load.tokens), str(PIECE))
        command = [sys.executable, "-m", "hyperllama_bench.bare", *arguments]
        with child.process(command, log, env={**os.environ}, cores={core}) as (pid, _):
            target = Target("127.0.0.1", child.wait_listening(log, pid), "/", b"")
            asyncio.run(shoot(target, clients=load.streams))
            cpu = processes.cpu_seconds(pid)
            shots = asyncio.run(shoot(target, clients=load.streams, shots=3))
            check(shots)
            return (processes.cpu_seconds(pid) - cpu) / (len(shots) * load.tokens) * 1e6


def _target(server: child.Server, dialect: str, load: Load, *, stream: bool, tokens: int | None = None) -> Target:
    path, body, separator = PATHS[dialect]
    limit = tokens if tokens is not None else None if stream else 1
    cut = {"max_tokens": limit} if dialect == "openai" else {"options": {"num_predict": limit}}
    full = {**body, "stream": stream, **(cut if limit else {})}
    headers = (f"Authorization: Bearer {KEY}",) if load.guarded else ()
    return Target("127.0.0.1", server.port, path, msgspec.json.encode(full), separator, headers)


__all__ = ("Load", "measure")
