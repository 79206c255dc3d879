"""Memory of the system and of processes, from ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def available(unknown: int) -> int:
    """Return the bytes that can be taken without swapping; ``unknown`` where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), unknown)
    except (OSError, ValueError, IndexError):
        return unknown


def resident(pid: int) -> int:
    """Return the bytes of the process that are in memory; 0 when it is gone."""
    return _statm(pid, 1)


def mapped(pid: int) -> int:
    """Return the bytes of the address space of the process; 0 when it is gone."""
    return _statm(pid, 0)


def _statm(pid: int, field: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[field]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


__all__ = ("available", "mapped", "resident")
