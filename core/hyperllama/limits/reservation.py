"""Reservations of a call, and their outcome. These cross from the gate to a store, memory or Redis."""

from __future__ import annotations

import msgspec


class Reservation(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """``amount`` to reserve in the window named ``key``, which holds ``limit`` in any ``seconds`` on end."""

    key: str
    limit: int
    seconds: int
    amount: int


class Slot(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One of ``limit`` calls at the same time, in the pool named ``key``."""

    key: str
    limit: int


class WindowState(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One window now. ``wait``: seconds until the reservation fits, 0: it did; ``reset``: until the window is empty."""

    used: int
    wait: float
    reset: float
    slice: int = -1  # where the amount was booked


class ReservationOutcome(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The answer to an attempt to reserve: all of it, or none of it.

    ``windows`` holds one state for each reservation. ``full`` is the index of the first slot that was not free; None:
    every slot was had.
    """

    admitted: bool
    windows: tuple[WindowState, ...]
    full: int | None = None
    wait: float = 0.0  # seconds until a slot is likely to be free, when ``full``


__all__ = ("Reservation", "ReservationOutcome", "Slot", "WindowState")
