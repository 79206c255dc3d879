"""Facts about processes, from ``/proc``; a process that is gone, or a system without ``/proc``, has none."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
#: Fields of /proc/<pid>/stat after the command, which is in brackets and may hold spaces.
_STATE, _SESSION, _USER, _SYSTEM = 0, 3, 11, 12


def tree(pid: int) -> list[int]:
    """Return ``pid`` and the ids of all processes below it."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        found.append(parent)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                with contextlib.suppress(OSError):
                    todo.extend(int(child) for child in (task / "children").read_text().split())
    return found


def session(leader: int) -> list[int]:
    """Return the living processes of the session that ``leader`` led, itself apart."""
    found = []
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != leader:
                fields = _stat(int(entry.name))
                if fields and int(fields[_SESSION]) == leader and fields[_STATE] != b"Z":
                    found.append(int(entry.name))
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds that all threads of the process have used; 0.0 when it is gone."""
    fields = _stat(pid)
    return (int(fields[_USER]) + int(fields[_SYSTEM])) * _TICK if fields else 0.0


def alive(pid: int) -> bool:
    """Return whether there is a process of that id, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _stat(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


__all__ = ("alive", "cpu_seconds", "session", "tree")
