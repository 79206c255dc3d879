"""A child process: its output is read, its memory counted, its end certain and reaped."""

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

import msgspec

from hyperllama.host import environment
from hyperllama.host.output import OutputLog
from hyperllama.system import processes
from hyperllama.system.memory import resident

KILL = signal.SIGKILL
TERM_GRACE = 2.0  # seconds between SIGTERM and SIGKILL
SESSION_TRIES, SESSION_WAIT = 50, 0.02  # looks at whether what it started is dead too, seconds between them
PIPE_GRACE = 1.0  # seconds that the pipes of a dead process are still read


class ChildProcess(asyncio.SubprocessProtocol):
    """A process made by :func:`spawn`. ``exited`` is done when the process has been reaped."""

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
        """Return the resident bytes of the process and everything below it; 0 when it is gone."""
        return sum(resident(pid) for pid in processes.tree(self.pid)) if not self.exited.done() else 0

    def cpu_seconds(self) -> float:
        """Return the processor seconds that it has used; 0.0 when it is gone."""
        return processes.cpu_seconds(self.pid) if not self.exited.done() else 0.0

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and its group. Does nothing when it is gone."""
        if self._transport is not None and not self.exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def end(self, *, grace: float) -> None:
        """Wait ``grace`` seconds for it to go by itself, then SIGTERM, then SIGKILL.

        Returns when it is reaped, and what it started is gone.
        """
        await self._end(grace)
        for _ in range(SESSION_TRIES):
            if not processes.session(self.pid):
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
        for pid in processes.session(self.pid):  # what it started and left behind
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


class Spawned(msgspec.Struct, frozen=True):
    """A process that has been started, with our ends of its two connections; the receiver closes them."""

    child: ChildProcess
    frames: socket.socket
    heartbeat: socket.socket


async def spawn(name: str, factory: str, variables: Mapping[str, str], on_exit: Callable[[], None]) -> Spawned:
    """Start ``python -m hyperllama.host``.

    It dies with the thread that called this, so call it on the main thread. Raises OSError.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    beats, their_beats = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    fds = (theirs.fileno(), their_beats.fileno())
    scratch = environment.scratch()
    child = ChildProcess(name, scratch, on_exit)
    command = (sys.executable, "-P", "-m", "hyperllama.host", *map(str, fds), str(os.getpid()), factory)
    try:
        await asyncio.get_running_loop().subprocess_exec(
            lambda: child,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment.clean(scratch, variables),
            cwd=scratch,
            pass_fds=fds,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        beats.close()
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    finally:
        theirs.close()
        their_beats.close()
    ours.setblocking(False)
    beats.setblocking(False)
    return Spawned(child, ours, beats)


def describe_exit(returncode: int | None) -> str:
    """Return a phrase for a log or an error: how it ended."""
    if returncode is None:
        return "it closed its connection"
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


__all__ = ("KILL", "PIPE_GRACE", "TERM_GRACE", "ChildProcess", "Spawned", "describe_exit", "spawn")
