"""Counts of JSON before it is parsed: the same whatever strings hold, and linear."""

from __future__ import annotations

import json
import time

import pytest

from hyperllama.config import BodyLimits
from hyperllama.web import json_excess

LIMITS = BodyLimits(values=100, members=20, containers=10)


@pytest.mark.parametrize(
    ("value", "excess"),
    [
        ([1] * 100, ""),
        ([1] * 101, "100 values"),
        ({str(n): 1 for n in range(20)}, ""),
        ({str(n): 1 for n in range(21)}, "20 members of objects"),
        ([[]] * 9, ""),
        ([[]] * 10, "10 arrays and objects"),
        ([{}] * 10, "10 arrays and objects"),
        (['[{"\\,:' * 200], ""),
        (["\\" * 999, '"[' * 200], ""),
        ({'{"': ":," * 300}, ""),
    ],
)
def test_what_is_counted(value: object, excess: str) -> None:
    assert json_excess(json.dumps(value).encode(), LIMITS) == excess


def test_one_flat_object_is_bounded_and_many_small_ones_are_not() -> None:
    limits = BodyLimits()
    assert json_excess(json.dumps({str(n): "v" for n in range(20_000)}).encode(), limits) == (
        "16384 members of one object"
    )
    assert not json_excess(json.dumps([{"a": 1}] * 20_000).encode(), limits)


@pytest.mark.nightly
@pytest.mark.parametrize("piece", ['{{"', '\\"[', "[]", "{}", '"', "\\"])
def test_the_count_is_linear(piece: str) -> None:
    """Quotes within strings made an earlier one quadratic."""
    spent = []
    for n in (100_000, 400_000):
        raw = json.dumps({"prompt": piece * n}).encode()
        began = time.thread_time()
        json_excess(raw, BodyLimits(containers=1, members=1))
        spent.append(time.thread_time() - began)
    assert spent[1] < 16 * max(spent[0], 0.005)
