"""LocalStore against a model that keeps every event: never over, never leaked, whatever the clock does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hyperllama.limits.local import LocalStore
from hyperllama.limits.reservation import Reservation, Slot
from hyperllama.limits.sliding_window import SLICES, SlidingWindow

LIMIT, SECONDS = 20, 60

steps = st.lists(
    st.tuples(
        st.floats(0, 40, allow_nan=False),  # seconds that pass
        st.integers(1, 8),  # set aside
        st.integers(0, 8),  # really used
        st.booleans(),  # settle now, or at the end
    ),
    min_size=1,
    max_size=60,
)


@given(steps)
@settings(max_examples=300, deadline=None)
def test_no_window_of_that_length_ever_sees_more_than_the_limit(history: list[tuple[float, int, int, bool]]) -> None:
    windows, now, booked = LocalStore(), 0.0, []
    for passed, asked, at_most, _ in history:
        now += passed
        used = min(at_most, asked)
        draw = Reservation("k", LIMIT, SECONDS, asked)
        taken = windows.reserve((draw,), (), now)
        if taken.admitted:
            windows.settle((draw,), [taken.windows[0].slice], (used,), now)
            booked.append((now, used))
        inside = sum(amount for at, amount in booked if at > now - SECONDS)
        assert inside <= LIMIT


@given(steps)
@settings(max_examples=300, deadline=None)
def test_what_was_set_aside_and_not_used_comes_back_whenever_it_is_settled(
    history: list[tuple[float, int, int, bool]],
) -> None:
    windows, now = LocalStore(), 0.0
    late = []
    booked = []
    for passed, asked, at_most, at_once in history:
        now += passed
        used = min(at_most, asked)
        draw = Reservation("k", LIMIT, SECONDS, asked)
        taken = windows.reserve((draw,), (), now)
        if not taken.admitted:
            continue
        booked.append((now, used))
        settlement = ((draw,), [taken.windows[0].slice], (used,))
        if at_once:
            windows.settle(*settlement, now)
        else:
            late.append(settlement)
    for settlement in late:
        windows.settle(*settlement, now)
    slack = SECONDS / SLICES
    certainly = sum(amount for at, amount in booked if at > now - SECONDS)
    possibly = sum(amount for at, amount in booked if at >= now - SECONDS - slack - 1e-6)
    assert certainly <= windows.used("k", now) <= possibly
    assert windows.used("k", now + SECONDS + 2 * slack) == 0


@given(steps)
@settings(max_examples=200, deadline=None)
def test_a_refusal_tells_the_time_at_which_it_would_be_admitted(history: list[tuple[float, int, int, bool]]) -> None:
    windows, now = LocalStore(), 0.0
    for passed, asked, _, _ in history:
        now += passed
        draw = Reservation("k", LIMIT, SECONDS, asked)
        taken = windows.reserve((draw,), (), now)
        if taken.admitted:
            continue
        wait = taken.windows[0].wait
        assert 0 < wait <= SECONDS * (SLICES + 1) / SLICES
        early = windows.reserve((draw,), (), now + wait * 0.999 - 1e-3)
        assert not early.admitted or wait < 0.01
        if not early.admitted:
            assert windows.reserve((draw,), (), now + wait + 1e-6).admitted
            now += wait + 1e-6


@given(st.lists(st.floats(-3600, 3600, allow_nan=False), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_a_clock_that_jumps_gives_no_more_than_the_limit_and_locks_nobody_out(jumps: list[float]) -> None:
    """The gateway's clock cannot jump; should one ever step back, nothing is handed out twice."""
    window, now = SlidingWindow(SECONDS), 1e6
    highest = now
    for jump in jumps:
        now += jump
        before = window.used(now)
        window.add(1, now)
        assert window.used(now) <= before + 1
        highest = max(highest, now)
    assert window.used(highest + SECONDS * (SLICES + 2) / SLICES) == 0


def test_several_windows_are_taken_from_together_or_not_at_all() -> None:
    windows = LocalStore()
    minute, hour = Reservation("m", 10, 60, 4), Reservation("h", 6, 3600, 4)
    assert windows.reserve((minute, hour), (), 0.0).admitted
    refused = windows.reserve((minute, hour), (), 1.0)
    assert not refused.admitted
    assert windows.used("m", 1.0) == 4
    assert refused.windows[0].wait == 0
    assert refused.windows[1].wait > 3000


def test_a_full_room_takes_nothing_from_the_windows() -> None:
    windows = LocalStore()
    draw, seat = Reservation("r", 10, 60, 1), Slot("k", 2)
    assert windows.reserve((draw,), (seat,), 0.0).admitted
    assert windows.reserve((draw,), (seat,), 0.0).admitted
    third = windows.reserve((draw,), (seat,), 0.0)
    assert not third.admitted
    assert third.full == 0
    assert third.wait > 0
    assert windows.used("r", 0.0) == 2
    windows.release((seat,), 3.0)
    assert windows.reserve((draw,), (seat,), 0.0).admitted
    assert windows.held("k") == 2


def test_use_beyond_what_was_set_aside_is_a_debt_paid_before_the_next() -> None:
    windows = LocalStore()
    draw = Reservation("t", 100, 60, 10)
    taken = windows.reserve((draw,), (), 0.0)
    windows.settle((draw,), [taken.windows[0].slice], (150,), 5.0)
    assert windows.used("t", 5.0) == 150
    refused = windows.reserve((draw,), (), 5.0)
    assert not refused.admitted
    assert windows.reserve((draw,), (), 5.0 + refused.windows[0].wait).admitted


def test_many_callers_cost_bounded_memory() -> None:
    windows = LocalStore(capacity=100)
    for number in range(1000):
        windows.reserve((Reservation(f"k{number}", 1, 60, 1),), (), 0.0)
    assert len(windows._windows) == 100
    assert windows.used("k999", 0.0) == 1
