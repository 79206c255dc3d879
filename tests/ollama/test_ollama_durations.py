"""Durations as Go writes them."""

from __future__ import annotations

import math

import pytest

from hyperllama_ollama import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("1h30m", 5400),
        ("300ms", 0.3),
        ("0", 0),
        ("0s", 0),
        ("-1.5s", -1.5),
        (".5s", 0.5),
        ("2562047h47m16.854775807s", 9223372036.854776),
        ("1\u00b5s", 1e-6),
    ],
)
def test_durations_parse(text: str, seconds: float) -> None:
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("-1", 'time: missing unit in duration "-1"'),
        ("60", 'time: missing unit in duration "60"'),
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        (".s", 'time: invalid duration ".s"'),
    ],
)
def test_what_go_refuses_is_refused_in_its_words(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        durations.parse(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("value", "seconds"), [(-1, math.inf), ("-1m", math.inf), (42.5, 42.5), ("0s", 0.0)])
def test_a_negative_keep_alive_is_for_ever(value: float | str, seconds: float) -> None:
    assert durations.keep_alive(value) == seconds
