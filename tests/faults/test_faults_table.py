"""The table of bars is whole: each has a test here and a row in core/DESIGN.md."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def table() -> Any:
    spec = importlib.util.spec_from_file_location("table_of_bars", Path(__file__).with_name("table.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_bar_has_a_test(table: Any) -> None:
    assert set(table.tests().values()) == set(table.BARS)


def test_every_bar_has_its_row_in_the_design(table: Any) -> None:
    text = table.DESIGN.read_text("utf-8")
    shown = text.partition(table.BEGIN)[2].partition(table.END)[0]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in shown.splitlines()}
    for bar, (what, limit) in table.BARS.items():
        assert f"| {what} | {limit} |" in rows.get(bar, ""), f"{bar}: run python tests/faults/table.py --write"
        assert "not run" not in rows[bar], bar
