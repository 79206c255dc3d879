"""The gateway against MAX's own server: one model, the same MAX flags, taken in turns on the same cores."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec

from hyperllama.bench import child, procs
from hyperllama.bench.load import Shot, Target, percentile, shoot
from hyperllama.errors import ConfigError

OURS = """
[server]
port = 0
[models.bench]
engine = "max"
source = "{folder}"
device = "{device}"
max_length = {length}
max_batch_size = {batch}
preload = true
"""
ENVIRON = {"MODULAR_TELEMETRY_ENABLED": "0", "MAX_SERVE_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


class Side(msgspec.Struct, frozen=True):
    """One server's figures at so many streams. ``front_us``: processor time a token outside scheduler and model."""

    streams: int
    tokens_per_second: float
    front_us: float
    ttft_p50_ms: float
    gap_p99_ms: float


class Served(msgspec.Struct):
    """A server, and which of its processor time counts as outside MAX's scheduler and model."""

    target: Target
    pid: int
    ours: bool

    def front_seconds(self) -> float:
        below = procs.children(self.pid)
        if self.ours:
            io = sum(cpu for host in below for tid, (name, cpu) in procs.threads(host).items() if name == "io")
            return procs.cpu_seconds(self.pid) + io
        # Below `max serve` the model worker is the process that works hardest by far.
        worker = max(below, key=procs.cpu_seconds, default=0)
        return sum(procs.cpu_seconds(pid) for pid in (self.pid, *below) if pid != worker)


def measure(
    folder: Path, *, rounds: int = 3, streams: tuple[int, ...] = (1, 8, 64), tokens: int = 100, device: str = "cpu"
) -> Iterator[str]:
    """Lines of the report: ``rounds`` alternations. ``folder`` is a model as MAX takes it. Blocks for minutes.

    Raises ConfigError when MAX's command is not installed.
    """
    command = shutil.which("max") or str(Path(sys.executable).with_name("max"))
    if not Path(command).exists():
        raise ConfigError("the max command is not installed: pip install 'hyperllama-gateway[max]'")
    length, batch = 1024, max(streams)
    results: dict[bool, dict[int, list[Side]]] = {True: {}, False: {}}
    for number in range(rounds):
        for ours in (True, False):
            with _Started(ours, command, folder, length=length, batch=batch, tokens=tokens, device=device) as served:
                for count in streams:
                    side = asyncio.run(_one(served, count, tokens))
                    results[ours].setdefault(count, []).append(side)
                    yield f"round {number + 1} {'gateway  ' if ours else 'max serve'} {_line(side)}"
    for count in streams:
        gateway, serve = (_median(results[ours][count]) for ours in (True, False))
        yield f"median  gateway   {_line(gateway)}"
        yield f"median  max serve {_line(serve)}"
        yield (
            f"ratio at {count} streams: tokens/s {gateway.tokens_per_second / serve.tokens_per_second:.2f} x, "
            f"front end {serve.front_us / max(gateway.front_us, 0.01):.1f} x less, "
            f"first token {gateway.ttft_p50_ms / serve.ttft_p50_ms:.2f} x, gap p99 "
            f"{gateway.gap_p99_ms / max(serve.gap_p99_ms, 1e-6):.2f} x"
        )


class _Started:
    """Either server, listening and warm, as a context."""

    def __init__(
        self, ours: bool, command: str, folder: Path, *, length: int, batch: int, tokens: int, device: str
    ) -> None:
        self._ours = ours
        if ours:
            config = OURS.format(folder=folder, device=device, length=length, batch=batch)
            self._context = child.gateway(config, environ=ENVIRON)
        else:
            self._scratch = tempfile.TemporaryDirectory(prefix="hyperllama-bench-")
            self._port = _free_port()
            arguments = [command, "serve", "--model-path", str(folder), "--devices", device, "--port", str(self._port)]
            arguments += ["--max-length", str(length), "--max-batch-size", str(batch), "--served-model-name", "bench"]
            if device == "cpu":
                arguments += ["--quantization-encoding", "float32"]
            self._log = Path(self._scratch.name) / "log"
            self._process = child.process(arguments, self._log, env={**os.environ, **ENVIRON}, cores=None)
        body = {
            "model": "bench",
            "messages": [{"role": "user", "content": "Tell a story."}],
            "stream": True,
            "max_tokens": tokens,
            "ignore_eos": True,
            "temperature": 0,
        }
        self._body = msgspec.json.encode(body)

    def __enter__(self) -> Served:
        if self._ours:
            server = self._context.__enter__()
            child.wait_for(server.log, r'("event": ?"model loaded")', server.pid)
            pid, port = server.pid, server.port
        else:
            pid, _ = self._process.__enter__()
            child.wait_port(self._port, pid, self._log)
            port = self._port
        target = Target("127.0.0.1", port, "/v1/chat/completions", self._body)
        asyncio.run(shoot(target, clients=2, shots=2))
        return Served(target, pid, self._ours)

    def __exit__(self, *error: object) -> None:
        if self._ours:
            self._context.__exit__(None, None, None)
        else:
            self._process.__exit__(None, None, None)
            self._scratch.cleanup()


async def _one(served: Served, streams: int, tokens: int) -> Side:
    await shoot(served.target, clients=streams)
    rounds = max(1, 64 // streams // 8)
    loop = asyncio.get_running_loop()
    began, cpu = loop.time(), served.front_seconds()
    shots = await shoot(served.target, clients=streams, shots=rounds)
    took, used = loop.time() - began, served.front_seconds() - cpu
    _check(shots)
    made = len(shots) * tokens
    return Side(
        streams=streams,
        tokens_per_second=made / took,
        front_us=used / made * 1e6,
        ttft_p50_ms=percentile([shot.first - shot.began for shot in shots], 0.5) * 1e3,
        gap_p99_ms=percentile([gap for shot in shots for gap in shot.gaps], 0.99) * 1e3,
    )


def _check(shots: list[Shot]) -> None:
    bad = [shot for shot in shots if shot.status != 200 or not shot.ended]
    if bad:
        raise RuntimeError(f"{len(bad)} of {len(shots)} streams failed, the first with status {bad[0].status}")


def _median(sides: list[Side]) -> Side:
    return Side(
        sides[0].streams,
        *(
            median(getattr(side, field) for side in sides)
            for field in ("tokens_per_second", "front_us", "ttft_p50_ms", "gap_p99_ms")
        ),
    )


def _line(side: Side) -> str:
    return (
        f"{side.streams:>3} streams: {side.tokens_per_second:>7,.0f} tokens/s, {side.front_us:>6.1f} us a token "
        f"outside scheduler and model, first token p50 {side.ttft_p50_ms:.1f} ms, gap p99 {side.gap_p99_ms:.1f} ms"
    )


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


__all__ = ("Side", "measure")
