"""Figures of the bars that tests are named after."""

from __future__ import annotations

import pytest

from tests.faults import table


class Bar:
    """What one test measured against the bar in its name; kept for the table of tests/faults."""

    def __init__(self, test: str, *, full: bool) -> None:
        self._test = test
        self._full = full

    def record(self, figure: str, *, rounds: int = 1) -> None:
        table.record(self._test, figure, rounds=rounds, full=self._full)

    def within(self, value: float, limit: float) -> None:
        """Times are held to their bars where the counts are full; the default run shares its machine."""
        assert not self._full or value <= limit, f"{value} is over {limit}"


@pytest.fixture
def bar(request: pytest.FixtureRequest) -> Bar:
    return Bar(request.node.originalname, full=request.node.get_closest_marker("nightly") is not None)
