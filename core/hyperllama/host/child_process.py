"""A child process with all that hangs on it: output read, memory counted, ended for certain, never left a zombie."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from hyperllama.host import environment
from hyperllama.host.output import OutputLog
from hyperllama.system.memory import resident

KILL = signal.SIGKILL
TERM_GRACE = 2.0  # seconds between SIGTERM and SIGKILL
SESSION_TRIES, SESSION_WAIT = 50, 0.02  # looks at whether what it started is dead too, seconds between them
PIPE_GRACE = 1.0  # seconds that the pipes of a dead process are still read


class ChildProcess(asyncio.SubprocessProtocol):
    """Made by :func:`spawn`. ``exited`` is done when the process has been reaped."""

    def __init__(self, name: str, scratch: Path, on_exit: Callable[[], None]) -> None:
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._logs = {1: OutputLog(name, warn=False), 2: OutputLog(name, warn=True)}
        self._scratch = scratch
        self._on_exit = on_exit
        self._transport: asyncio.SubprocessTransport | None = None
        self._close: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        return self._transport.get_pid() if self._transport is not None else 0

    @property
    def returncode(self) -> int | None:
        return self._transport.get_returncode() if self._transport is not None else None

    def memory(self) -> int:
        """Resident bytes of the process and everything below it; 0: gone, or a system without ``/proc``."""
        return sum(resident(pid) for pid in _tree(self.pid)) if not self.exited.done() else 0

    def signal(self, number: signal.Signals) -> None:
        """To the process and all of its session. Gone already: nothing happens."""
        if self._transport is not None and not self.exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def end(self, *, grace: float) -> None:
        """Wait ``grace`` seconds for it to go by itself, then SIGTERM, then SIGKILL.

        Returns when it is reaped, and what it started is gone.
        """
        await self._end(grace)
        for _ in range(SESSION_TRIES):
            if not _session(self.pid):
                return
            await asyncio.sleep(SESSION_WAIT)

    async def _end(self, grace: float) -> None:
        for wait, number in ((grace, signal.SIGTERM), (TERM_GRACE, signal.SIGKILL)):
            done, _ = await asyncio.wait({self.exited}, timeout=wait)
            if done:
                return
            self.signal(signal.SIGCONT)  # a stopped process acts on no SIGTERM
            self.signal(number)
        await asyncio.wait({self.exited})

    # --- asyncio.SubprocessProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._logs[fd].feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in self._logs:
            self._logs[fd].end()

    def process_exited(self) -> None:
        for pid in _session(self.pid):  # what it started and left behind
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self._scratch, ignore_errors=True)
        if self._transport is not None:
            # Its last words are still in the pipes; something that left the session may hold them open for ever.
            self._close = asyncio.get_running_loop().call_later(PIPE_GRACE, self._transport.close)
        self._on_exit()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._close is not None:
            self._close.cancel()
        if self._transport is not None:
            self._transport.close()
        if not self.exited.done():
            self.exited.set_result(self.returncode if self.returncode is not None else -1)


async def spawn(
    name: str, factory: str, variables: Mapping[str, str], on_exit: Callable[[], None]
) -> tuple[ChildProcess, socket.socket]:
    """Start ``python -m hyperllama.host`` with one end of a socket pair; the other end is returned.

    It dies with the thread that called this, so call it on the main thread. The caller closes the socket.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    scratch = environment.scratch()
    child = ChildProcess(name, scratch, on_exit)
    command = (sys.executable, "-P", "-m", "hyperllama.host", str(theirs.fileno()), str(os.getpid()), factory)
    try:
        await asyncio.get_running_loop().subprocess_exec(
            lambda: child,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment.clean(scratch, variables),
            cwd=scratch,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    return child, ours


def describe_exit(returncode: int | None) -> str:
    """How it ended, for people."""
    if returncode is None:
        return "it closed its connection"
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


def _tree(pid: int) -> list[int]:
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        found.append(parent)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                with contextlib.suppress(OSError):
                    todo.extend(int(child) for child in (task / "children").read_text().split())
    return found


def _session(leader: int) -> list[int]:
    """Processes of the session that ``leader`` led, itself apart."""
    found = []
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != leader:
                with contextlib.suppress(OSError):
                    # After the command in its brackets: state, parent, group, session.
                    state, _, _, session = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:4]
                    if int(session) == leader and state != b"Z":
                        found.append(int(entry.name))
    return found


__all__ = ("KILL", "PIPE_GRACE", "TERM_GRACE", "ChildProcess", "describe_exit", "spawn")
