"""Whether a host is alive: a ping a second, oftener for the impatient, and what makes its silence a hang."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hyperllama.host.frames import Ping, Pong

INTERVAL = 1.0


class Heartbeat:
    """Three kinds of hang, each reported once: no pong for ``silence`` seconds; one engine step longer than
    ``longest_step``; requests in the engine while it has stood idle for ``longest_step``.

    A long step alone is no hang: the host's pongs come from a thread of their own and say how long it has run.
    """

    def __init__(
        self, send: Callable[[Ping], None], on_hang: Callable[[str], None], *, silence: float, longest_step: float
    ) -> None:
        self._send = send
        self._on_hang = on_hang
        self._silence = silence
        self._longest_step = longest_step
        self._loop = asyncio.get_running_loop()
        self._heard = self._ticked = self._moved = self._loop.time()
        self._steps = -1
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(self._interval, self._tick)

    def allow(self, silence: float) -> None:
        """From now on ``silence`` seconds without a pong are a hang."""
        self._silence = silence
        self._heard = self._loop.time()

    @property
    def _interval(self) -> float:
        return min(INTERVAL, self._silence / 4)

    def beat(self, pong: Pong) -> None:
        now = self._heard = self._loop.time()
        if pong.steps != self._steps or not pong.active or pong.busy:
            self._steps, self._moved = pong.steps, now
        if pong.busy > self._longest_step:
            self._hang(f"one step has run for {pong.busy:.0f} s")
        elif now - self._moved > self._longest_step:
            self._hang(f"{pong.active} requests have not moved for {self._longest_step:.0f} s")

    def age(self) -> float:
        """Seconds since the last pong; 0 while stopped."""
        return self._loop.time() - self._heard if self._timer is not None else 0.0

    def resume(self) -> None:
        """Begin again after ``stop``."""
        if self._timer is None:
            self._heard = self._ticked = self._moved = self._loop.time()
            self._timer = self._loop.call_later(self._interval, self._tick)

    def stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _tick(self) -> None:
        now = self._loop.time()
        if now - self._ticked > 2 * self._interval + 0.1:
            self._heard = now  # it was this process that stood still: pongs may lie unread
        self._ticked = now
        if now - self._heard > self._silence:
            self._hang(f"no sign of life for {self._silence:g} s")
            return
        self._sequence += 1
        self._timer = self._loop.call_later(self._interval, self._tick)
        self._send(Ping(self._sequence))

    def _hang(self, reason: str) -> None:
        if self._timer is not None:
            self.stop()
            self._on_hang(reason)


__all__ = ("INTERVAL", "Heartbeat")
