"""Reservations, settlements and refunds in any order: never above a limit, never below zero, everything given back."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hyperllama.limits.local import LocalStore
from hyperllama.limits.reservation import Reservation, ReservationOutcome, Slot

WINDOWS = {"minute": (100, 60), "hour": (250, 3600), "other": (40, 60)}
SLOTS = {"one": 1, "three": 3}


class Limiter(RuleBasedStateMachine):
    """The model: what each window admitted and settled, by time, and the slots held."""

    def __init__(self) -> None:
        super().__init__()
        self.store = LocalStore()
        self.now = 0.0
        self.open: list[tuple[tuple[Reservation, ...], tuple[Slot, ...], ReservationOutcome, float]] = []
        self.booked: dict[str, list[list[float]]] = {name: [] for name in WINDOWS}  # time, amount

    @rule(
        windows=st.sets(st.sampled_from(sorted(WINDOWS))),
        slots=st.sets(st.sampled_from(sorted(SLOTS))),
        amount=st.integers(0, 60),
    )
    def reserve(self, windows: set[str], slots: set[str], amount: int) -> None:
        wanted = tuple(Reservation(name, *WINDOWS[name], amount) for name in sorted(windows))
        places = tuple(Slot(name, SLOTS[name]) for name in sorted(slots))
        before = {name: self.store.used(name, self.now) for name in WINDOWS}
        held = {name: self.store.held(name) for name in SLOTS}
        outcome = self.store.reserve(wanted, places, self.now)
        if outcome.admitted:
            assert all(held[slot.key] < slot.limit for slot in places)
            assert all(before[each.key] + amount <= each.limit for each in wanted)
            self.open.append((wanted, places, outcome, self.now))
            for each in wanted:
                self.booked[each.key].append([self.now, amount])
        else:  # none of it
            assert before == {name: self.store.used(name, self.now) for name in WINDOWS}
            assert held == {name: self.store.held(name) for name in SLOTS}

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 1000), used=st.integers(0, 60))
    def settle(self, which: int, used: int) -> None:
        """With less than was reserved, or all of it; zero is a refund of everything."""
        wanted, places, outcome, at = self.open.pop(which % len(self.open))
        amounts = [min(used, each.amount) for each in wanted]
        self.store.settle(wanted, [state.slice for state in outcome.windows], amounts, self.now)
        self.store.release(places, self.now - at)
        for each, amount in zip(wanted, amounts, strict=True):
            entry = next(e for e in self.booked[each.key] if e == [at, each.amount])
            entry[1] = amount

    @rule(seconds=st.sampled_from((0.0, 0.5, 1.0, 20.0, 61.0, 3700.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_window_ever_exceeds_its_limit_or_falls_below_zero(self) -> None:
        for name, (limit, seconds) in WINDOWS.items():
            used = self.store.used(name, self.now)
            real = sum(amount for at, amount in self.booked[name] if at > self.now - seconds)
            assert 0 <= real <= used <= limit, name

    @invariant()
    def slots_held_are_those_of_open_calls(self) -> None:
        for name in SLOTS:
            assert self.store.held(name) == sum(slot.key == name for _, slots, _, _ in self.open for slot in slots)

    def teardown(self) -> None:
        while self.open:
            self.settle(0, 0)
        self.now += 3700.0
        assert all(self.store.used(name, self.now) == 0 for name in WINDOWS)
        assert all(self.store.held(name) == 0 for name in SLOTS)


TestLimiter = Limiter.TestCase
TestLimiter.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
