"""The pace of a request's body: it may take as long as it needs while it comes at ``min_body_rate``."""

from __future__ import annotations

from hyperllama.server.bounds import Bounds


class Pace:
    """The rate of one body over each ``body_grace``, and over each ``body_timeout`` if the body has a limit.

    A body with a limit thus ends after limit / ``body_rate`` seconds at the latest; without a rate, after one
    ``body_timeout``.
    """

    __slots__ = ("_bounds", "_limited", "_period", "_window")

    def __init__(self, bounds: Bounds, now: float, *, limited: bool) -> None:
        self._bounds = bounds
        self._limited = limited
        self._window = self._period = (now, 0)  # since when, and the bytes that had come then

    def wait(self, now: float, received: int) -> None:
        """Begin to measure anew: up to ``now`` it was the application that did not read."""
        self._window = self._period = (now, received)

    def too_slow(self, now: float, received: int) -> bool:
        """Return whether the body, of which ``received`` bytes have come, came too slowly."""
        bounds = self._bounds
        since, before = self._window
        if now - since >= bounds.body_grace:
            self._window = (now, received)
            if received - before < bounds.body_rate * (now - since):
                return True
        since, before = self._period
        if self._limited and now - since >= bounds.body_timeout:
            self._period = (now, received)
            return not bounds.body_rate or received - before < bounds.body_rate * (now - since)
        return False


__all__ = ("Pace",)
