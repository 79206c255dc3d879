"""The table of bars is whole: each has a test here and a row in README.md."""

from __future__ import annotations

from tests.faults import table


def test_every_bar_has_a_test() -> None:
    assert set(table.tests().values()) == set(table.BARS)


def test_every_bar_has_its_row() -> None:
    text = table.README.read_text("utf-8")
    shown = text.partition(table.BEGIN)[2].partition(table.END)[0]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in shown.splitlines()}
    for bar, (what, limit) in table.BARS.items():
        assert f"| {what} | {limit} |" in rows.get(bar, ""), f"{bar}: run python tests/faults/table.py --write"
        assert "not run" not in rows[bar], bar
