"""The rate at which a busy model finishes calls: Retry-After is computed from it."""

from __future__ import annotations

import math

MEMORY = 30.0  # seconds of busy time after which a measurement has faded to a third


class Throughput:
    """Completions per second while others wait, faded by age; idle time is not measured. Times are seconds."""

    __slots__ = ("_busy", "_done", "_mean", "_since")

    def __init__(self) -> None:
        self._busy = 0.0
        self._done = 0.0
        self._mean = 0.0  # seconds one call is served, smoothed; 0: none finished yet
        self._since: float | None = None  # when waiting began, or the last completion during it

    def waiting(self, now: float) -> None:
        """Note that calls wait from now on."""
        if self._since is None:
            self._since = now

    def idle(self) -> None:
        """Note that no call waits any more."""
        self._since = None

    def completed(self, now: float, served: float) -> None:
        """Count a call that was served for ``served`` seconds."""
        self._mean += (served - self._mean) / 8 if self._mean else served
        if self._since is not None:
            passed = min(max(now - self._since, 0.0), served)  # longer: the model was being loaded
            self._since = now
            fade = math.exp(-passed / MEMORY)
            self._busy = self._busy * fade + passed
            self._done = self._done * fade + 1.0

    @property
    def measured(self) -> bool:
        """True once a call has finished."""
        return self._mean > 0

    def seconds(self, calls: int, places: int) -> float:
        """Estimate the seconds until ``calls`` have finished, at least 0.1. Little's law serves until measured."""
        if self._done >= 2 and self._busy > 0:
            expected = calls * self._busy / self._done
        else:
            expected = calls * (self._mean or 1.0) / max(places, 1)
        return max(expected, 0.1)


__all__ = ("Throughput",)
