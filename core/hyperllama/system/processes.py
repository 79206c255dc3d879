"""Facts about processes, from ``/proc``; a process that is gone, or a system without ``/proc``, has none."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
#: Fields of /proc/<pid>/stat after the command, which is in brackets and may hold spaces.
_STATE, _SESSION, _USER, _SYSTEM = 0, 3, 11, 12
_LISTEN = "0A"  # as /proc/net/tcp writes the state


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


def children(pid: int) -> list[int]:
    """Return the ids of all processes below ``pid``."""
    return tree(pid)[1:]


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


def threads(pid: int) -> dict[int, tuple[str, float]]:
    """Return the name and the processor seconds of each thread of the process."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            name, _, rest = (task / "stat").read_bytes().partition(b"(")[2].rpartition(b")")
            fields = rest.split()
            used = (int(fields[_USER]) + int(fields[_SYSTEM])) * _TICK
            found[int(task.name)] = (name.decode("utf-8", "replace"), used)
    return found


def listening(port: int) -> list[int]:
    """Return the processes that accept connections at ``port``, as far as this user may see them."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for fields in map(str.split, Path(table).read_text("ascii").splitlines()[1:]):
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{fields[9]}]")
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        with contextlib.suppress(OSError):  # gone meanwhile, or of another user
            if str(link.readlink()) in sockets:
                found.add(int(link.parts[2]))
    return sorted(found)


def running(pid: int) -> bool:
    """Return whether the process has not ended; one that has and was not waited for does not run."""
    fields = _stat(pid)
    return bool(fields) and fields[_STATE] not in (b"Z", b"X")


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


__all__ = ("alive", "children", "cpu_seconds", "listening", "running", "session", "threads", "tree")
