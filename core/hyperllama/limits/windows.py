"""Sliding windows that are never over: what was taken counts for the whole window, whatever the wall clock does.

A window is cut into slices. A slice counts until all it may hold is older than the window, so the sum is never below
what any window of that length saw, and room comes back at most one slice late. The clock is handed in; the gateway's is
``time.monotonic``, which no one can set.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence

import msgspec

SLICES = 60


class Draw(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """``amount`` wanted from the window named ``key``."""

    key: str
    limit: int
    seconds: int
    amount: int


class Seat(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One of ``limit`` places at the same time, in the room named ``key``."""

    key: str
    limit: int


class Reading(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One window now. ``wait``: seconds until the draw fits, 0: it did; ``reset``: until the window is empty."""

    used: int
    wait: float
    reset: float
    slice: int = -1  # where the draw was booked


class Taken(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What came of asking: one reading per draw; ``full``: the first seat there was no place at, None: all were had."""

    admitted: bool
    readings: tuple[Reading, ...]
    full: int | None = None
    wait: float = 0.0  # seconds until a seat is likely to be free, when ``full``


class Window:
    """What was used, by slice. Slices are numbered from the clock's zero."""

    __slots__ = ("_slices", "seconds", "total")

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.total = 0
        self._slices: deque[list[int]] = deque()  # [number, amount], oldest first

    def used(self, now: float) -> int:
        """The sum that still counts."""
        slices = self._slices
        oldest = int(now * SLICES / self.seconds) - SLICES
        while slices and slices[0][0] < oldest:
            self.total -= slices.popleft()[1]
        return self.total

    def add(self, amount: int, now: float) -> int:
        """Book, and return the slice to give back to."""
        number = int(now * SLICES / self.seconds)
        slices = self._slices
        if slices and slices[-1][0] >= number:  # a clock that stands still, or steps back: the last slice takes it
            number = slices[-1][0]
            slices[-1][1] += amount
        else:
            slices.append([number, amount])
        self.total += amount
        return number

    def give_back(self, amount: int, slice_: int) -> None:
        """Return part of what ``slice_`` booked; nothing when it no longer counts."""
        for entry in reversed(self._slices):
            if entry[0] == slice_:
                back = min(amount, entry[1])
                entry[1] -= back
                self.total -= back
                return
            if entry[0] < slice_:
                return

    def wait(self, need: int, now: float) -> float:
        """Seconds until ``need`` of what is used now no longer counts."""
        freed = 0
        for number, amount in self._slices:
            freed += amount
            if freed >= need:
                return max((number + SLICES + 1) * self.seconds / SLICES - now, 0.0)
        return float(self.seconds)

    def reset(self, now: float) -> float:
        """Seconds until nothing counts any more."""
        for number, amount in reversed(self._slices):
            if amount:
                return max((number + SLICES + 1) * self.seconds / SLICES - now, 0.0)
        return 0.0


class Room:
    """Places at the same time, and how long they are held."""

    __slots__ = ("held", "mean")

    def __init__(self) -> None:
        self.held = 0
        self.mean = 1.0  # seconds one is held, smoothed

    def left(self, seconds: float) -> None:
        self.held = max(self.held - 1, 0)
        self.mean += (seconds - self.mean) / 8


class Windows:
    """Every window and room of one gateway, by key. Nothing here waits, so what one call does is one step.

    ``capacity`` bounds them: the least recently used go first.
    """

    def __init__(self, *, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._windows: OrderedDict[str, Window] = OrderedDict()
        self._rooms: dict[str, Room] = {}

    def take(self, draws: Sequence[Draw], seats: Sequence[Seat], now: float) -> Taken:
        """All of it or none of it."""
        for index, seat in enumerate(seats):
            room = self._rooms.get(seat.key)
            if room is not None and room.held >= seat.limit:
                return Taken(False, (), index, room.mean / max(room.held, 1))
        windows = [self._window(draw) for draw in draws]
        for window, draw in zip(windows, draws, strict=True):
            if window.used(now) + draw.amount > draw.limit:
                return Taken(False, tuple(_refusal(w, d, now) for w, d in zip(windows, draws, strict=True)))
        readings = []
        for window, draw in zip(windows, draws, strict=True):
            slice_ = window.add(draw.amount, now)
            readings.append(Reading(window.total, 0.0, window.reset(now), slice_))
        for seat in seats:
            self._rooms.setdefault(seat.key, Room()).held += 1
        return Taken(True, tuple(readings))

    def book(self, draws: Sequence[Draw], seats: Sequence[Seat], now: float) -> tuple[int, ...]:
        """Take without asking: someone else admitted it. Returns the slices booked."""
        for seat in seats:
            self._rooms.setdefault(seat.key, Room()).held += 1
        return tuple(self._window(draw).add(draw.amount, now) for draw in draws)

    def settle(self, draws: Sequence[Draw], slices: Sequence[int], used: Sequence[int], now: float) -> None:
        """Give back what was not used of each draw, or book what was used beyond it."""
        for draw, slice_, amount in zip(draws, slices, used, strict=True):
            window = self._windows.get(draw.key)
            if window is None or amount == draw.amount:
                continue
            if amount < draw.amount:
                window.give_back(draw.amount - amount, slice_)
            else:
                window.used(now)
                window.add(amount - draw.amount, now)

    def leave(self, seats: Sequence[Seat], seconds: float) -> None:
        """Give the seats back after ``seconds``."""
        for seat in seats:
            room = self._rooms.get(seat.key)
            if room is not None:
                room.left(seconds)
                if room.held == 0 and len(self._rooms) > self._capacity:
                    del self._rooms[seat.key]

    def used(self, key: str, now: float) -> int:
        """What counts in one window now; 0 for one that never was."""
        window = self._windows.get(key)
        return window.used(now) if window is not None else 0

    def held(self, key: str) -> int:
        """Places taken in one room now."""
        room = self._rooms.get(key)
        return room.held if room is not None else 0

    def mean(self, key: str) -> float:
        """Seconds a place in one room is held."""
        room = self._rooms.get(key)
        return room.mean if room is not None else 1.0

    def _window(self, draw: Draw) -> Window:
        window = self._windows.get(draw.key)
        if window is None:
            if len(self._windows) >= self._capacity:
                self._windows.popitem(last=False)
            window = self._windows[draw.key] = Window(draw.seconds)
        else:
            self._windows.move_to_end(draw.key)
        return window


def _refusal(window: Window, draw: Draw, now: float) -> Reading:
    over = window.used(now) + draw.amount - draw.limit
    return Reading(window.total, window.wait(over, now) if over > 0 else 0.0, window.reset(now))


__all__ = ("SLICES", "Draw", "Reading", "Room", "Seat", "Taken", "Window", "Windows")
