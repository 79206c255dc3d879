"""The GPU's figures over the CPU's, from what ``hyperllama-gateway bench --against max-serve --out`` left.

python tests/bench/ratio.py DIRECTORY
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

Rows = dict[int, dict[str, Any]]


def gateway(folder: Path, device: str) -> Rows:
    """The gateway's medians by number of streams; empty: that device was not measured."""
    path = folder / f"against-max-serve-{device}.json"
    if not path.is_file():
        return {}
    rows = json.loads(path.read_text("utf-8"))["summary"]
    return {row["streams"]: row for row in rows if row["server"] == "gateway"}


def main(folder: Path) -> None:
    gpu, cpu = gateway(folder, "gpu"), gateway(folder, "cpu")
    for device, rows in (("gpu", gpu), ("cpu", cpu)):
        for streams, row in sorted(rows.items()):
            print(
                f"{device} {streams:>3} streams: {row['tokens_per_second']:,.1f} tokens/s, first token p50 "
                f"{row['ttft_p50_ms']:.1f} ms, between tokens p99 {row['gap_p99_ms']:.1f} ms"
            )
    for streams in sorted(gpu.keys() & cpu.keys()):
        times = gpu[streams]["tokens_per_second"] / cpu[streams]["tokens_per_second"]
        print(f"gpu over cpu at {streams} streams: {times:.1f} x")
    if not gpu or not cpu:
        print("gpu over cpu: one of them was not measured")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
