"""The gateway compared with MAX's own server: one model, the same MAX flags, in turns on the same cores."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec

from hyperllama.errors import ConfigError
from hyperllama.testing import child, processes
from hyperllama_bench.load import Target, check, percentile, shoot
from hyperllama_bench.report import Plot, Report, Row, Say

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
#: Both servers run with MAX's telemetry off, which spares `max serve` a process of its own.
ENVIRON = {"MODULAR_TELEMETRY_ENABLED": "0", "MAX_SERVE_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
LENGTH = 1024
SIDES = ("gateway", "max serve")
FIGURES = ("tokens_per_second", "front_us", "ttft_p50_ms", "gap_p50_ms", "gap_p99_ms")


class Versus(msgspec.Struct, frozen=True):
    """The options of the measurement. ``folder`` is a model as MAX takes it."""

    folder: Path
    streams: tuple[int, ...] = (1, 8, 64)
    tokens: int = 100
    rounds: int = 3
    device: str = "cpu"


class Served(msgspec.Struct):
    """A server that is warmed up."""

    side: str
    target: Target
    pid: int

    def seconds(self) -> dict[str, float]:
        """Return the processor seconds so far by part; the engine's, in whatever process MAX runs, come last."""
        below = processes.children(self.pid)
        if self.side == "gateway":
            hosts = [thread for host in below for thread in processes.threads(host).values()]
            io = sum(cpu for name, cpu in hosts if name == "io")
            return {
                "process": processes.cpu_seconds(self.pid),
                "beside": io,
                "engine": sum(map(processes.cpu_seconds, below)) - io,
            }
        # Below `max serve` the model worker is the process that works hardest by far.
        worker = max(below, key=processes.cpu_seconds, default=0)
        others = sum(processes.cpu_seconds(pid) for pid in below if pid != worker)
        return {"process": processes.cpu_seconds(self.pid), "beside": others, "engine": processes.cpu_seconds(worker)}


def measure(versus: Versus, say: Say) -> Report:
    """Measure ``rounds`` alternations, each reported to ``say``. Block for minutes.

    Raises ConfigError when MAX's command is not installed.
    """
    command = shutil.which("max") or str(Path(sys.executable).with_name("max"))
    if not Path(command).exists():
        raise ConfigError("The max command is not installed; pip install 'hyperllama-gateway[max]'.")
    report = Report(
        name=f"against-max-serve-{versus.device.replace(':', '-')}",
        title=f"hyperllama-gateway against max serve, {versus.folder.name} on {versus.device}",
        settings={
            "model": versus.folder.name,
            "device": versus.device,
            "tokens": versus.tokens,
            "rounds": versus.rounds,
            "max_batch_size": max(versus.streams),
            "max_length": LENGTH,
            "encoding": "float32" if versus.device == "cpu" else "the model's",
            "telemetry": "off in both",
        },
        plots=(
            Plot("Tokens a second", "tokens_per_second", "streams", "server"),
            Plot("Processor time a token outside scheduler and model, us", "front_us", "streams", "server"),
            Plot("First token, p50 ms", "ttft_p50_ms", "streams", "server"),
            Plot("Between tokens, p99 ms", "gap_p99_ms", "streams", "server"),
        ),
    )
    for number in range(versus.rounds):
        for side in SIDES:
            with _started(side, command, versus) as served:
                for streams in versus.streams:
                    row: Row = {"round": number + 1, **asyncio.run(_one(served, streams, versus.tokens))}
                    report.rows.append(row)
                    say(f"round {number + 1} {_line(row)}")
    _sum_up(report, versus.streams, say)
    return report


def _sum_up(report: Report, streams: tuple[int, ...], say: Say) -> None:
    for count in streams:
        ours, theirs = (_median(report.rows, side, count) for side in SIDES)
        report.summary.extend((ours, theirs))
        say(f"median  {_line(ours)}")
        say(f"        {_parts(ours)}")
        say(f"median  {_line(theirs)}")
        say(f"        {_parts(theirs)}")
        times = {name: float(ours[name]) / max(float(theirs[name]), 1e-6) for name in FIGURES}
        report.summary.append({"server": "ratio", "streams": count, **{k: round(v, 3) for k, v in times.items()}})
        say(
            f"ratio at {count} streams: tokens/s {times['tokens_per_second']:.2f} x, "
            f"front end {1 / max(times['front_us'], 1e-6):.1f} x less, first token {times['ttft_p50_ms']:.2f} x, "
            f"gap p99 {times['gap_p99_ms']:.2f} x"
        )


@contextlib.contextmanager
def _started(side: str, command: str, versus: Versus) -> Iterator[Served]:
    body = {
        "model": "bench",
        "messages": [{"role": "user", "content": "Tell a story."}],
        "stream": True,
        "max_tokens": versus.tokens,
        "ignore_eos": True,
        "temperature": 0,
    }
    with contextlib.ExitStack() as stack:
        if side == "gateway":
            length, batch = LENGTH, max(versus.streams)
            config = OURS.format(folder=versus.folder, device=versus.device, length=length, batch=batch)
            server = stack.enter_context(child.gateway(config, environ=ENVIRON))
            child.wait_for(server.log, r'("event": ?"model loaded")', server.pid)
            pid, port = server.pid, server.port
        else:
            log = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hyperllama-bench-"))) / "log"
            port = _free_port()
            serve = [command, *_serve(versus), "--port", str(port)]
            pid, _ = stack.enter_context(child.process(serve, log, env={**os.environ, **ENVIRON}, cores=None))
            child.wait_port(port, pid, log)
        target = Target("127.0.0.1", port, "/v1/chat/completions", msgspec.json.encode(body))
        asyncio.run(shoot(target, clients=2, shots=2))
        yield Served(side, target, pid)


def _serve(versus: Versus) -> list[str]:
    arguments = ["serve", "--model-path", str(versus.folder), "--served-model-name", "bench"]
    arguments += ["--devices", versus.device, "--max-length", str(LENGTH), "--max-batch-size", str(max(versus.streams))]
    return arguments + (["--quantization-encoding", "float32"] if versus.device == "cpu" else [])


async def _one(served: Served, streams: int, tokens: int) -> Row:
    await shoot(served.target, clients=streams)
    loop = asyncio.get_running_loop()
    began, cpu = loop.time(), served.seconds()
    shots = await shoot(served.target, clients=streams, shots=max(2, 16 // streams))
    took, now = loop.time() - began, served.seconds()
    check(shots)
    made = len(shots) * tokens
    parts = {part: (now[part] - cpu[part]) / made * 1e6 for part in cpu}
    gaps = [gap for shot in shots for gap in shot.gaps]
    return {
        "server": served.side,
        "streams": streams,
        "tokens_per_second": made / took,
        "front_us": parts["process"] + parts["beside"],
        "ttft_p50_ms": percentile([shot.first - shot.began for shot in shots], 0.5) * 1e3,
        "gap_p50_ms": percentile(gaps, 0.5) * 1e3,
        "gap_p99_ms": percentile(gaps, 0.99) * 1e3,
        **{f"{part}_us": share for part, share in parts.items()},
    }


def _median(rows: list[Row], side: str, streams: int) -> Row:
    mine = [row for row in rows if row["server"] == side and row["streams"] == streams]
    figures = (*FIGURES, "process_us", "beside_us", "engine_us")
    return {"server": side, "streams": streams, **{name: median(float(row[name]) for row in mine) for name in figures}}


def _line(row: Row) -> str:
    return (
        f"{row['server']:<9} {row['streams']:>3} streams: {row['tokens_per_second']:>7,.0f} tokens/s, "
        f"{row['front_us']:>6.1f} us a token outside scheduler and model, first token p50 {row['ttft_p50_ms']:.1f} ms, "
        f"gap p50 {row['gap_p50_ms']:.1f} ms, p99 {row['gap_p99_ms']:.1f} ms"
    )


def _parts(row: Row) -> str:
    """Return the processor time of a token by part."""
    if row["server"] == "gateway":
        names = ("gateway process", "host's I/O thread", "MAX's scheduler and model")
    else:
        names = ("front end", "other processes", "model worker")
    shown = zip(names, (row["process_us"], row["beside_us"], row["engine_us"]), strict=True)
    return ", ".join(f"{name} {float(cost):,.1f} us" for name, cost in shown)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


__all__ = ("Versus", "measure")
