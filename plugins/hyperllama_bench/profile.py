"""A process's time by room, from py-spy's samples."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Sequence
from pathlib import Path

RATE = 250  # samples a second

#: Parts of the innermost frame, ``function (file:line)``; the first that fits names the room.
_ROOMS = (
    ("write_piece", "the write itself"),
    ("(hyperllama/web/", "web"),
    ("(hyperllama/host/", "host frames"),
    ("(hyperllama_sim/", "sim engine"),
    ("(hyperllama_", "protocols"),
    ("(hyperllama/", "pipeline, stages, stores"),
    ("(uvicorn/", "uvicorn"),
    ("(litestar/", "litestar"),
    ("(structlog/", "access log"),
)


def command() -> str | None:
    """Return the path of py-spy; None if it is not installed."""
    beside = Path(sys.executable).with_name("py-spy")
    return shutil.which("py-spy") or (str(beside) if beside.exists() else None)


async def during(sampler: str, pid: int, work: Awaitable[object], *, seconds: float) -> Sequence[tuple[str, float]]:
    """Return the shares of ``pid``'s running time by room while ``work`` runs, largest first."""
    with tempfile.TemporaryDirectory(prefix="hyperllama-bench-") as folder:
        raw = Path(folder) / "samples"
        options = ("record", "-r", str(RATE), "-d", str(max(1, round(seconds))), "-f", "raw", "-o", str(raw))
        quiet = asyncio.subprocess.DEVNULL
        sampling = await asyncio.create_subprocess_exec(sampler, *options, "-p", str(pid), stdout=quiet, stderr=quiet)
        await work
        await sampling.wait()
        return shares(raw.read_text("utf-8", errors="replace").splitlines()) if raw.exists() else ()


def shares(stacks: Sequence[str]) -> Sequence[tuple[str, float]]:
    """Return the shares by room of py-spy's lines (``outermost;...;innermost count``), the event loop's thread only."""
    rooms: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        if "(uvloop/" in stack:
            innermost = stack.rpartition(";")[2]
            rooms[next((room for part, room in _ROOMS if part in innermost), "event loop, libraries")] += int(count)
    total = sum(rooms.values())
    return [(room, count / total) for room, count in rooms.most_common()]


__all__ = ("command", "during", "shares")
