"""One notation for a time, in every place of the configuration."""

from __future__ import annotations

import math

import pytest

from hyperllama.config import parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (300, 300),
        (42.5, 42.5),
        (0, 0),
        ("300", 300),
        ("0", 0),
        ("-0s", 0),
        ("5m", 300),
        ("1h30m", 5_400),
        ("30d", 2_592_000),
        ("1d12h", 129_600),
        ("300ms", 0.3),
        (".5s", 0.5),
        ("1.5h", 5_400),
        ("+5s", 5),
        (" 5s ", 5),
        ("1\u00b5s", 1e-6),
        ("1\u03bcs", 1e-6),
        ("2562047h47m16.854775807s", 9_223_372_036.854776),
        (-1, math.inf),
        (-0.5, math.inf),
        ("-1", math.inf),
        ("-1m", math.inf),
        ("-1.5s", math.inf),
    ],
)
def test_a_duration_is_seconds_and_a_negative_one_is_for_ever(value: float | str, seconds: float) -> None:
    assert parse_duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    (
        *("", "-", "+", "abc", "s", ".s", ".", "1w", "1 h", "5m junk", "1h-5m", "--1s"),
        *("nan", "inf", "1e3s", "\u0665s", "5M", "1s" * 40, "9" * 100_000),
    ),
)
def test_what_is_no_duration_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration. Write seconds") as caught:
        parse_duration(text)
    assert len(str(caught.value)) < 200


def test_nan_is_no_duration() -> None:
    with pytest.raises(ValueError, match="must be a number"):
        parse_duration(math.nan)
