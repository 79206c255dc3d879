"""How long a body may take: as long as it comes at the rate, and no longer."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hyperllama.server.bounds import Bounds
from hyperllama.server.pace import Pace

BOUNDS = Bounds(body_timeout=60.0, body_grace=5.0, body_rate=1000)


def ended(came: Iterable[tuple[float, int]], *, limited: bool = True, bounds: Bounds = BOUNDS) -> float | None:
    """The second of the first check, of those at these times with so much received, at which it was too slow."""
    pace = Pace(bounds, 0.0, limited=limited)
    return next((now for now, received in came if pace.too_slow(now, received)), None)


def steady(rate: float, seconds: int) -> list[tuple[float, int]]:
    return [(float(now), int(now * rate)) for now in range(seconds)]


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize("rate", [1001, 4000, 125_000])
def test_b16_a_steady_body_is_never_too_slow(rate: float, limited: bool) -> None:
    assert ended(steady(rate, 3600), limited=limited) is None


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize("rate", [0, 1, 999])
def test_b16_a_body_below_the_rate_ends_with_the_first_window(rate: float, limited: bool) -> None:
    assert ended(steady(rate, 3600), limited=limited) == 5.0


def test_b16_bursts_count_by_the_window() -> None:
    assert ended((float(now), now // 4 * 20_000) for now in range(600)) is None
    assert ended((float(now), now // 12 * 60_000) for now in range(600)) == 5.0


def test_b16_what_came_fast_is_no_credit_for_a_stall() -> None:
    assert ended((float(now), min(now, 10) * 1_000_000) for now in range(600)) == 15.0


def test_b16_without_a_rate_the_whole_time_is_bounded_where_the_size_is() -> None:
    free = Bounds(body_timeout=60.0, body_rate=0)
    assert ended(steady(4000, 3600), bounds=free) == 60.0
    assert ended(steady(4000, 3600), limited=False, bounds=free) is None


def test_b16_the_time_in_which_the_application_does_not_read_does_not_count() -> None:
    pace = Pace(BOUNDS, 0.0, limited=True)
    pace.wait(100.0, 50_000)
    assert not pace.too_slow(104.0, 50_000)
    assert pace.too_slow(105.0, 50_000)
