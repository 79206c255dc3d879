"""Lines of an input file are numbered as in the file and bounded in length."""

from __future__ import annotations

import io

from hyperllama.batches.job import _lines


def test_a_line_over_the_bound_is_read_no_further_than_shows_it_and_the_next_is_whole() -> None:
    file = io.BytesIO(b"one\n" + b"x" * 100 + b"\n\n  \nlast")
    assert list(_lines(file, 10)) == [(1, b"one\n"), (2, b"x" * 11), (5, b"last")]


def test_a_line_of_exactly_the_bound_is_whole() -> None:
    file = io.BytesIO(b"x" * 10 + b"\n" + b"y" * 10)
    assert [raw.strip() for _, raw in _lines(file, 11)] == [b"x" * 10, b"y" * 10]
