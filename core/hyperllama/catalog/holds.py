"""The models that keep one process in memory: each name with its own users and its own idle timer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Hashable, Iterator


class Hold:
    """One name's hold on the process. ``expires_at`` in unix seconds; None: in use, kept for ever or not loaded."""

    __slots__ = ("active", "expires_at", "idle", "keep_alive", "timer")

    def __init__(self, keep_alive: float) -> None:
        self.active = 0
        self.keep_alive = keep_alive
        self.expires_at: float | None = None
        self.idle = asyncio.Event()
        self.idle.set()
        self.timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Cancel the timer."""
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()


class Holds:
    """The holds on one process. A name without users lets go of it when its own keep-alive has passed."""

    def __init__(self, on_expiry: Callable[[Hashable], None]) -> None:
        """Hold nothing. ``on_expiry`` is called with the name whose timer ended, which holds on until it is dropped."""
        self._on_expiry = on_expiry
        self._found: dict[Hashable, Hold] = {}
        self.active = 0  # users of all names

    def __contains__(self, name: Hashable) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[Hashable]:
        return iter((*self._found,))

    def __len__(self) -> int:
        return len(self._found)

    def get(self, name: Hashable) -> Hold | None:
        return self._found.get(name)

    def keep(self, name: Hashable, keep_alive: float) -> Hold:
        """Return the hold of ``name``, new with this keep-alive where there is none."""
        hold = self._found.get(name)
        if hold is None:
            hold = self._found[name] = Hold(keep_alive)
        return hold

    def enter(self, name: Hashable, keep_alive: float) -> Hold:
        """Count one more user of ``name``, whose timer stops."""
        hold = self.keep(name, keep_alive)
        hold.stop()
        hold.active += 1
        hold.idle.clear()
        hold.expires_at = None
        self.active += 1
        return hold

    def leave(self, name: Hashable) -> Hold:
        """Count one user fewer."""
        hold = self._found[name]
        hold.active -= 1
        self.active -= 1
        if hold.active == 0:
            hold.idle.set()
        return hold

    def arm(self, name: Hashable) -> None:
        """Start the timer of ``name`` unless it is used, kept for ever, or runs already."""
        hold = self._found[name]
        if hold.active or hold.timer is not None or math.isinf(hold.keep_alive):
            return
        hold.expires_at = time.time() + hold.keep_alive
        hold.timer = asyncio.get_running_loop().call_later(hold.keep_alive, self._expire, name, hold)

    def _expire(self, name: Hashable, hold: Hold) -> None:
        hold.timer = None
        if self._found.get(name) is hold and not hold.active:
            self._on_expiry(name)

    def drop(self, name: Hashable) -> None:
        """Let go of the process for ``name``, if it has no users."""
        hold = self._found.get(name)
        if hold is not None and not hold.active:
            hold.stop()
            del self._found[name]

    def clear(self) -> None:
        """Drop every hold without users."""
        for name in self:
            self.drop(name)

    def stop(self) -> None:
        """Cancel every timer."""
        for hold in self._found.values():
            hold.stop()

    @property
    def keep_alive(self) -> float:
        """The longest keep-alive of all; 0 without a hold."""
        return max((hold.keep_alive for hold in self._found.values()), default=0.0)

    @property
    def expires_at(self) -> float | None:
        """The unix time at which the last of them ends; None: it is not known yet, or never."""
        found = [hold.expires_at for hold in self._found.values()]
        return None if None in found or not found else max(time for time in found if time is not None)


__all__ = ("Hold", "Holds")
