"""The gateway's judgement whether a host is alive: a ping a second, and the silences that are a hang."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hyperllama.host.frames import Ping, Pong

INTERVAL = 1.0
WORKING = 0.05  # share of one processor that a silent host uses while it is working
LENIENCE = 4.0  # times as long may a host be silent that works, and its I/O loop be held up


class Heartbeat:
    """A detector that reports a hang, once.

    A hang is: no pong for ``silence`` seconds; an I/O loop that has not come round for four times as long; one engine
    step longer than ``longest_step``; requests in the engine while it has stood idle for ``longest_step``.

    A long step alone is no hang: the host's pongs come from a thread of their own and say how long it has run.
    Nor is silence alone: on a crowded machine, or while native code holds the interpreter, a host that uses the
    processor may be silent for four times ``silence``. ``cpu_seconds`` returns what the host has used.
    """

    def __init__(
        self,
        send: Callable[[Ping], None],
        on_hang: Callable[[str], None],
        *,
        silence: float,
        longest_step: float,
        cpu_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._send = send
        self._on_hang = on_hang
        self._silence = silence
        self._longest_step = longest_step
        self._cpu_seconds = cpu_seconds
        self._loop = asyncio.get_running_loop()
        self._heard = self._ticked = self._moved = self._loop.time()
        self._used: float | None = None  # processor seconds at the last tick of a silence; None: it is not silent
        self._steps = -1
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(self._interval, self._tick)

    def allow(self, silence: float) -> None:
        """Take ``silence`` seconds without a pong for a hang from now on."""
        self._silence = silence
        self._heard = self._loop.time()

    @property
    def _interval(self) -> float:
        return min(INTERVAL, self._silence / 4)

    def beat(self, pong: Pong) -> None:
        """Take note of a pong."""
        now = self._heard = self._loop.time()
        self._used = None
        if pong.steps != self._steps or not pong.active or pong.busy:
            self._steps, self._moved = pong.steps, now
        if pong.busy > self._longest_step:
            self._hang(f"one step has run for {pong.busy:.0f} s")
        elif now - self._moved > self._longest_step:
            self._hang(f"{pong.active} requests have not moved for {self._longest_step:.0f} s")
        elif pong.stalled > LENIENCE * self._silence:
            self._hang(f"its I/O loop has been held up for {pong.stalled:.0f} s")

    def age(self) -> float:
        """Return the seconds since the last pong; 0 while stopped."""
        return self._loop.time() - self._heard if self._timer is not None else 0.0

    def resume(self) -> None:
        """Begin again after ``stop``."""
        if self._timer is None:
            self._heard = self._ticked = self._moved = self._loop.time()
            self._timer = self._loop.call_later(self._interval, self._tick)

    def stop(self) -> None:
        """Send no more pings and report nothing."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _tick(self) -> None:
        now = self._loop.time()
        if now - self._ticked > 2 * self._interval + 0.1:
            self._heard = now  # it was this process that stood still: pongs may lie unread
        passed, self._ticked = now - self._ticked, now
        silent = now - self._heard
        works = silent <= self._silence / 2 or self._works(passed)
        if silent > self._silence and not (works and silent <= LENIENCE * self._silence):
            self._hang(f"no sign of life for {silent:.0f} s")
            return
        self._sequence += 1
        self._timer = self._loop.call_later(self._interval, self._tick)
        self._send(Ping(self._sequence))

    def _works(self, seconds: float) -> bool:
        """Return whether the host has used the processor in the last ``seconds``."""
        before, self._used = self._used, self._cpu_seconds()
        return before is None or self._used - before >= WORKING * seconds

    def _hang(self, reason: str) -> None:
        if self._timer is not None:
            self.stop()
            self._on_hang(reason)


__all__ = ("INTERVAL", "LENIENCE", "WORKING", "Heartbeat")
