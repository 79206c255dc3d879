"""A continuous measurement of the event loop's delay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

INTERVAL = 0.05
STALL = 0.1  # seconds; every client feels more than this


class LoopLag:
    """A timer that measures, every ``INTERVAL``, how late it runs. Used between ``start`` and ``stop`` on one loop.

    ``on_stall`` is called with each delay over ``STALL``, in seconds, once the loop runs again.
    """

    def __init__(self, *, on_stall: Callable[[float], None] | None = None, clock: Callable[[], float] = time.monotonic):
        self.last = 0.0
        self.stalls = 0  # delays over STALL since the start
        self._worst = 0.0
        self._on_stall = on_stall
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._next(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take_worst(self) -> float:
        """Return the longest delay since the last call, in seconds; for a gauge."""
        worst, self._worst = self._worst, 0.0
        return worst

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(INTERVAL, self._wake, loop, self._clock() + INTERVAL)

    def _wake(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.last = lag = max(0.0, self._clock() - due)
        self._worst = max(self._worst, lag)
        self._next(loop)
        if lag > STALL:
            self.stalls += 1
            if self._on_stall is not None:
                self._on_stall(lag)


__all__ = ("INTERVAL", "STALL", "LoopLag")
