"""A sliding window that never exceeds its limit, whatever the wall clock does.

A window is cut into slices. A slice counts until all it may hold is older than the window, so the sum is never below
what any window of that length saw, and an amount is free again at most one slice late. The clock is a parameter; the
gateway's is ``time.monotonic``, which cannot be set.
"""

from __future__ import annotations

from collections import deque

SLICES = 60


class SlidingWindow:
    """The amounts used, by slice. Slices are numbered from the clock's zero."""

    __slots__ = ("_slices", "seconds", "total")

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.total = 0
        self._slices: deque[list[int]] = deque()  # [number, amount], oldest first

    def used(self, now: float) -> int:
        """Return the sum that still counts."""
        slices = self._slices
        oldest = int(now * SLICES / self.seconds) - SLICES
        while slices and slices[0][0] < oldest:
            self.total -= slices.popleft()[1]
        return self.total

    def add(self, amount: int, now: float) -> int:
        """Book ``amount``, and return the slice to refund it to."""
        number = int(now * SLICES / self.seconds)
        slices = self._slices
        if slices and slices[-1][0] >= number:  # a clock that stands still, or steps back: the last slice takes it
            number = slices[-1][0]
            slices[-1][1] += amount
        else:
            slices.append([number, amount])
        self.total += amount
        return number

    def refund(self, amount: int, slice_: int) -> None:
        """Return part of what ``slice_`` booked. Does nothing once the slice no longer counts."""
        for entry in reversed(self._slices):
            if entry[0] == slice_:
                back = min(amount, entry[1])
                entry[1] -= back
                self.total -= back
                return
            if entry[0] < slice_:
                return

    def wait(self, need: int, now: float) -> float:
        """Return the seconds until ``need`` of the amount used now no longer counts."""
        freed = 0
        for number, amount in self._slices:
            freed += amount
            if freed >= need:
                return max((number + SLICES + 1) * self.seconds / SLICES - now, 0.0)
        return float(self.seconds)

    def reset(self, now: float) -> float:
        """Return the seconds until the window is empty."""
        for number, amount in reversed(self._slices):
            if amount:
                return max((number + SLICES + 1) * self.seconds / SLICES - now, 0.0)
        return 0.0


__all__ = ("SLICES", "SlidingWindow")
