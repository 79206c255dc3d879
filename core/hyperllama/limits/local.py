"""Limits kept in the memory of one gateway."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from hyperllama.limits.reservation import Reservation, ReservationOutcome, Slot, WindowState
from hyperllama.limits.sliding_window import SlidingWindow


class SlotPool:
    """The slots of one key in use, and how long a call holds one."""

    __slots__ = ("held", "mean")

    def __init__(self) -> None:
        self.held = 0
        self.mean = 1.0  # seconds that a slot is held, smoothed

    def release(self, seconds: float) -> None:
        """Free one slot that was held for ``seconds``."""
        self.held = max(self.held - 1, 0)
        self.mean += (seconds - self.mean) / 8


class LocalStore:
    """Every window and slot pool of one gateway, by key. Nothing here waits, so each method is one atomic step.

    ``capacity`` bounds both. The least recently used window is dropped first; a pool only while it is empty.
    """

    def __init__(self, *, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._windows: OrderedDict[str, SlidingWindow] = OrderedDict()
        self._pools: dict[str, SlotPool] = {}

    def reserve(self, reservations: Sequence[Reservation], slots: Sequence[Slot], now: float) -> ReservationOutcome:
        """Reserve all of it or none of it."""
        for index, slot in enumerate(slots):
            pool = self._pools.get(slot.key)
            if pool is not None and pool.held >= slot.limit:
                return ReservationOutcome(False, (), index, pool.mean / max(pool.held, 1))
        pairs = [(self._window(each), each) for each in reservations]
        for window, each in pairs:
            if window.used(now) + each.amount > each.limit:
                return ReservationOutcome(False, tuple(_refused(window, each, now) for window, each in pairs))
        states = []
        for window, each in pairs:
            slice_ = window.add(each.amount, now)
            states.append(WindowState(window.total, 0.0, window.reset(now), slice_))
        self._occupy(slots)
        return ReservationOutcome(True, tuple(states))

    def book(self, reservations: Sequence[Reservation], slots: Sequence[Slot], now: float) -> tuple[int, ...]:
        """Record what another store has admitted. Returns the slices booked."""
        self._occupy(slots)
        return tuple(self._window(each).add(each.amount, now) for each in reservations)

    def settle(
        self, reservations: Sequence[Reservation], slices: Sequence[int], used: Sequence[int], now: float
    ) -> None:
        """Refund what was not used of each reservation, or book what was used beyond it."""
        for each, slice_, amount in zip(reservations, slices, used, strict=True):
            window = self._windows.get(each.key)
            if window is None or amount == each.amount:
                continue
            if amount < each.amount:
                window.refund(each.amount - amount, slice_)
            else:
                window.used(now)
                window.add(amount - each.amount, now)

    def release(self, slots: Sequence[Slot], seconds: float) -> None:
        """Free the slots, held for ``seconds``."""
        for slot in slots:
            pool = self._pools.get(slot.key)
            if pool is not None:
                pool.release(seconds)
                if pool.held == 0 and len(self._pools) > self._capacity:
                    del self._pools[slot.key]

    def used(self, key: str, now: float) -> int:
        """Return the amount that counts in one window now; 0 for an unknown one."""
        window = self._windows.get(key)
        return window.used(now) if window is not None else 0

    def held(self, key: str) -> int:
        """Return the slots in use in one pool now; 0 for an unknown one."""
        pool = self._pools.get(key)
        return pool.held if pool is not None else 0

    def mean(self, key: str) -> float:
        """Return the seconds that a slot of one pool is held on average."""
        pool = self._pools.get(key)
        return pool.mean if pool is not None else 1.0

    def _occupy(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            self._pools.setdefault(slot.key, SlotPool()).held += 1

    def _window(self, reservation: Reservation) -> SlidingWindow:
        window = self._windows.get(reservation.key)
        if window is None:
            if len(self._windows) >= self._capacity:
                self._windows.popitem(last=False)
            window = self._windows[reservation.key] = SlidingWindow(reservation.seconds)
        else:
            self._windows.move_to_end(reservation.key)
        return window


def _refused(window: SlidingWindow, reservation: Reservation, now: float) -> WindowState:
    over = window.used(now) + reservation.amount - reservation.limit
    return WindowState(window.total, window.wait(over, now) if over > 0 else 0.0, window.reset(now))


__all__ = ("LocalStore", "SlotPool")
