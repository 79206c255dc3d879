"""Patterns as engines follow them: what they take, the original takes."""

from __future__ import annotations

import re

import pytest

from hyperllama.schemas import example_of
from hyperllama.schemas.patterns import matches, rewritten


@pytest.mark.parametrize(
    ("pattern", "followed", "exact"),
    [
        ("^[a-z]+$", "^[a-z]+$", True),
        ("^a|b$", "^(?:a|b)$", True),
        ("^https?://", "^https?://.*$", True),
        ("^(?<year>\\d{4})$", "^(?:\\d{4})$", True),
        ("^(?P<year>\\d{4})$", "^(?:\\d{4})$", True),
        ("^a+?$", "^a+$", True),
        ("^(?!b)[ab]$", "^[ab]$", False),
        ("\\bword\\b", "^word$", False),
        ("a$b", "^ab$", False),
    ],
)
def test_a_pattern_is_followed(pattern: str, followed: str, exact: bool) -> None:
    found = rewritten(pattern)
    assert found is not None
    assert (found.text, found.exact) == (followed, exact)
    if exact:
        text = example_of(pattern)
        assert text is not None
        assert re.search(pattern.replace("(?<y", "(?P<y"), text)


@pytest.mark.parametrize(
    "pattern",
    ["", "(", "a{2", "a**", "(a)\\1", "\\p{L}", "(?i)a", "(?>a)", "[]", "[\\p{L}]", "\\ud83d", "a{3,2}", "x" * 5000],
)  # fmt: skip
def test_what_no_engine_follows_is_none(pattern: str) -> None:
    assert rewritten(pattern) is None
    assert example_of(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("^[a[]+$", "a[", True),
        ("(a|a)*b", "a" * 60, None),
        ("(a+)+$", "a" * 60 + "!", None),
        ("a?" * 40 + "a" * 40, "a" * 40, None),
        ("^(?=a)ab$", "ab", True),
        ("^(a)\\1$", "aa", None),
    ],
)
def test_a_search_is_made_where_it_cannot_take_long(pattern: str, text: str, fits: bool | None) -> None:
    assert matches(pattern, text) is fits
