"""The host's answers to pings, from a thread that takes no other part in its work."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable

from hyperllama.host import frames
from hyperllama.host.frames import Ping, Pong
from hyperllama.host.worker import Pulse

_PIECE = 4096
_TURN = 2.0  # seconds that one ping adds to a stall at most: a process that was stopped has not been stalled


class Responder:
    """A thread that answers pings from ``sock`` until it ends, with the time that the I/O ``loop`` has been stalled."""

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop, pulse: Callable[[], Pulse]) -> None:
        """Start nothing yet; ``pulse`` is called on the thread."""
        self._sock = sock
        self._loop = loop
        self._pulse = pulse
        self._called = False  # the loop has been called and has not answered
        self._stalled = 0.0
        self._last = 0.0
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def _run(self) -> None:
        reader, encode = frames.Reader("host"), frames.encoder()
        self._sock.setblocking(True)
        with contextlib.suppress(OSError), self._sock:
            while data := self._sock.recv(_PIECE):
                for message in reader.feed(data):
                    if isinstance(message, Ping):
                        self._sock.sendall(encode(self._pong(message)))

    def _pong(self, ping: Ping) -> Pong:
        now = time.monotonic()
        self._stalled = self._stalled + min(now - self._last, _TURN) if self._called else 0.0
        self._last = now
        if not self._called:
            self._called = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
                self._loop.call_soon_threadsafe(self._came_round)
        pulse = self._pulse()
        return Pong(ping.sequence, pulse.steps, pulse.busy, pulse.active, pulse.vram, self._stalled)

    def _came_round(self) -> None:
        self._called = False


__all__ = ("Responder",)
