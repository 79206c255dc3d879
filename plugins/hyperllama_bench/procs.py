"""Processor time and memory of a process and all below it, from ``/proc``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
LISTEN = "0A"  # as /proc/net/tcp writes the state


def cpu_seconds(pid: int) -> float:
    """Time that the process itself has taken, its threads that have ended included; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def threads(pid: int) -> dict[int, tuple[str, float]]:
    """Name and seconds of each thread of the process."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            text = (task / "stat").read_text("ascii", errors="replace")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        found[int(task.name)] = (
            text[text.index("(") + 1 : text.rindex(")")],
            (int(fields[11]) + int(fields[12])) / TICK,
        )
    return found


def children(pid: int) -> list[int]:
    """Direct and indirect child processes, oldest first."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = sorted(parents.get(waiting.pop(0), []))
        found += below
        waiting += below
    return found


def listening(port: int) -> list[int]:
    """Processes that accept connections at ``port``, as far as this user may see them; empty: none."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
            if str(link.readlink()) in sockets:
                found.add(int(link.parts[2]))
    return sorted(found)


__all__ = ("children", "cpu_seconds", "listening", "threads")
