"""Embeddings gathered into engine calls compared with single calls: two gateways in turns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec

from hyperllama.testing import child, processes
from hyperllama_bench.load import Target, check, percentile, shoot
from hyperllama_bench.report import Plot, Report, Row, Say

CONFIG = """
[server]
port = 0
[queue]
embed_batching = {batching}
[models.bench]
engine = "max"
source = "{folder}"
device = "{device}"
preload = true
"""
TEXT = "When does the harbour open in the morning?"
SIDES = ("on", "off")


class Gathering(msgspec.Struct, frozen=True):
    """The options of the measurement. ``folder`` is an embedding model as MAX takes it."""

    folder: Path
    clients: int = 64
    rounds: int = 3
    device: str = "cpu"
    shots: int = 20  # requests of each client, one after another


def measure(gathering: Gathering, say: Say) -> Report:
    """Measure ``rounds`` alternations, each reported to ``say``. Block for a minute or two."""
    report = Report(
        name=f"embeddings-{gathering.device.replace(':', '-')}",
        title=f"Embeddings of many clients, gathered or not: {gathering.folder.name} on {gathering.device}",
        settings={"model": gathering.folder.name, "device": gathering.device, "clients": gathering.clients},
        plots=(
            Plot("Requests a second", "requests_per_second", "clients", "batching"),
            Plot("One client's latency, p50 ms", "alone_p50_ms", "clients", "batching"),
        ),
    )
    for number in range(gathering.rounds):
        for side in SIDES:
            with _started(side, gathering) as (target, pid):
                row: Row = {"round": number + 1, "batching": side, **asyncio.run(_one(target, pid, gathering))}
            report.rows.append(row)
            say(f"round {number + 1} {_line(row)}")
    on, off = (_median(report.rows, side) for side in SIDES)
    report.summary.extend((on, off))
    say(f"median  {_line(on)}")
    say(f"median  {_line(off)}")
    faster = float(on["requests_per_second"]) / float(off["requests_per_second"])
    alone = float(on["alone_p50_ms"]) / float(off["alone_p50_ms"])
    report.summary.append(
        {"batching": "ratio", "requests_per_second": round(faster, 3), "alone_p50_ms": round(alone, 3)}
    )
    say(f"ratio: {faster:.2f} x the requests of {gathering.clients} clients, a lone client's latency {alone:.3f} x")
    return report


@contextlib.contextmanager
def _started(side: str, gathering: Gathering) -> Iterator[tuple[Target, int]]:
    batching = "true" if side == "on" else "false"
    config = CONFIG.format(folder=gathering.folder, device=gathering.device, batching=batching)
    with child.gateway(config) as server:
        child.wait_for(server.log, r'("event": ?"model loaded")', server.pid)
        body = msgspec.json.encode({"model": "bench", "input": TEXT})
        target = Target("127.0.0.1", server.port, "/v1/embeddings", body)
        asyncio.run(shoot(target, clients=gathering.clients, shots=5))
        yield target, server.pid


async def _one(target: Target, pid: int, gathering: Gathering) -> Row:
    loop = asyncio.get_running_loop()
    alone = await shoot(target, clients=1, shots=200)
    began, gateway, host = loop.time(), processes.cpu_seconds(pid), _below(pid)
    many = await shoot(target, clients=gathering.clients, shots=gathering.shots)
    took, gateway, host = loop.time() - began, processes.cpu_seconds(pid) - gateway, _below(pid) - host
    check([*alone, *many])
    return {
        "clients": gathering.clients,
        "requests_per_second": len(many) / took,
        "p50_ms": percentile([shot.ended - shot.began for shot in many], 0.5) * 1e3,
        "p99_ms": percentile([shot.ended - shot.began for shot in many], 0.99) * 1e3,
        "alone_p50_ms": percentile([shot.ended - shot.began for shot in alone], 0.5) * 1e3,
        "gateway_us": gateway / len(many) * 1e6,
        "host_us": host / len(many) * 1e6,
    }


def _below(pid: int) -> float:
    return sum(map(processes.cpu_seconds, processes.children(pid)))


def _median(rows: list[Row], side: str) -> Row:
    mine = [row for row in rows if row["batching"] == side]
    figures = ("requests_per_second", "p50_ms", "p99_ms", "alone_p50_ms", "gateway_us", "host_us")
    clients = mine[0]["clients"]
    return {
        "batching": side,
        "clients": clients,
        **{name: median(float(row[name]) for row in mine) for name in figures},
    }


def _line(row: Row) -> str:
    return (
        f"batching {row['batching']:<3} {row['clients']} clients: {row['requests_per_second']:,.0f} requests/s, "
        f"p50 {row['p50_ms']:.1f} ms, p99 {row['p99_ms']:.1f} ms, processor time each "
        f"{row['gateway_us']:,.0f} us in the gateway and {row['host_us']:,.0f} us in the host; "
        f"one client alone p50 {row['alone_p50_ms']:.2f} ms"
    )


__all__ = ("Gathering", "measure")
