"""Windows against a model that keeps every event: never over, never leaked, whatever the clock does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hyperllama.limits.windows import SLICES, Draw, Seat, Window, Windows

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
    windows, now, booked = Windows(), 0.0, []
    for passed, asked, at_most, _ in history:
        now += passed
        used = min(at_most, asked)
        draw = Draw("k", LIMIT, SECONDS, asked)
        taken = windows.take((draw,), (), now)
        if taken.admitted:
            windows.settle((draw,), [taken.readings[0].slice], (used,), now)
            booked.append((now, used))
        inside = sum(amount for at, amount in booked if at > now - SECONDS)
        assert inside <= LIMIT


@given(steps)
@settings(max_examples=300, deadline=None)
def test_what_was_set_aside_and_not_used_comes_back_whenever_it_is_settled(
    history: list[tuple[float, int, int, bool]],
) -> None:
    windows, now = Windows(), 0.0
    late = []
    booked = []
    for passed, asked, at_most, at_once in history:
        now += passed
        used = min(at_most, asked)
        draw = Draw("k", LIMIT, SECONDS, asked)
        taken = windows.take((draw,), (), now)
        if not taken.admitted:
            continue
        booked.append((now, used))
        settlement = ((draw,), [taken.readings[0].slice], (used,))
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
    windows, now = Windows(), 0.0
    for passed, asked, _, _ in history:
        now += passed
        draw = Draw("k", LIMIT, SECONDS, asked)
        taken = windows.take((draw,), (), now)
        if taken.admitted:
            continue
        wait = taken.readings[0].wait
        assert 0 < wait <= SECONDS * (SLICES + 1) / SLICES
        early = windows.take((draw,), (), now + wait * 0.999 - 1e-3)
        assert not early.admitted or wait < 0.01
        if not early.admitted:
            assert windows.take((draw,), (), now + wait + 1e-6).admitted
            now += wait + 1e-6


@given(st.lists(st.floats(-3600, 3600, allow_nan=False), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_a_clock_that_jumps_gives_no_more_than_the_limit_and_locks_nobody_out(jumps: list[float]) -> None:
    """The gateway's clock cannot jump; should one ever step back, nothing is handed out twice."""
    window, now = Window(SECONDS), 1e6
    highest = now
    for jump in jumps:
        now += jump
        before = window.used(now)
        window.add(1, now)
        assert window.used(now) <= before + 1
        highest = max(highest, now)
    assert window.used(highest + SECONDS * (SLICES + 2) / SLICES) == 0


def test_several_windows_are_taken_from_together_or_not_at_all() -> None:
    windows = Windows()
    minute, hour = Draw("m", 10, 60, 4), Draw("h", 6, 3600, 4)
    assert windows.take((minute, hour), (), 0.0).admitted
    refused = windows.take((minute, hour), (), 1.0)
    assert not refused.admitted
    assert windows.used("m", 1.0) == 4
    assert refused.readings[0].wait == 0
    assert refused.readings[1].wait > 3000


def test_a_full_room_takes_nothing_from_the_windows() -> None:
    windows = Windows()
    draw, seat = Draw("r", 10, 60, 1), Seat("k", 2)
    assert windows.take((draw,), (seat,), 0.0).admitted
    assert windows.take((draw,), (seat,), 0.0).admitted
    third = windows.take((draw,), (seat,), 0.0)
    assert not third.admitted
    assert third.full == 0
    assert third.wait > 0
    assert windows.used("r", 0.0) == 2
    windows.leave((seat,), 3.0)
    assert windows.take((draw,), (seat,), 0.0).admitted
    assert windows.held("k") == 2


def test_use_beyond_what_was_set_aside_is_a_debt_paid_before_the_next() -> None:
    windows = Windows()
    draw = Draw("t", 100, 60, 10)
    taken = windows.take((draw,), (), 0.0)
    windows.settle((draw,), [taken.readings[0].slice], (150,), 5.0)
    assert windows.used("t", 5.0) == 150
    refused = windows.take((draw,), (), 5.0)
    assert not refused.admitted
    assert windows.take((draw,), (), 5.0 + refused.readings[0].wait).admitted


def test_many_callers_cost_bounded_memory() -> None:
    windows = Windows(capacity=100)
    for number in range(1000):
        windows.take((Draw(f"k{number}", 1, 60, 1),), (), 0.0)
    assert len(windows._windows) == 100
    assert windows.used("k999", 0.0) == 1
