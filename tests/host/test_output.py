"""A host's output in the log."""

from __future__ import annotations

import json

import pytest
import structlog

from hyperllama.host.output import MAX_LINE, MAX_LINES, WINDOW, OutputLog


@pytest.fixture
def log():
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_lines_are_logged_whole_however_they_come(log):
    output = OutputLog("m", warn=True)
    for piece in (b"on", b"e\ntw", b"o\n\nthree"):
        output.feed(piece)
    output.end()
    assert [entry["line"] for entry in log] == ["one", "two", "three"]
    assert {entry["log_level"] for entry in log} == {"warning"}
    assert {entry["model"] for entry in log} == {"m"}


def test_stdout_is_for_debugging(log):
    output = OutputLog("m", warn=False)
    output.feed(b"x\n")
    assert [entry["log_level"] for entry in log] == ["debug"]


def test_a_long_line_is_cut_and_says_so(log):
    output = OutputLog("m", warn=True)
    output.feed(b"x" * (MAX_LINE * 3) + b"\nnext\n")
    assert len(log[0]["line"]) == MAX_LINE
    assert log[0]["truncated_bytes"] == 2 * MAX_LINE
    assert log[1]["line"] == "next"


def test_bytes_that_are_no_text_are_spelled_out(log):
    OutputLog("m", warn=True).feed(b"a\xffb\n")
    assert log[0]["line"] == "a\\xffb"
    json.dumps(log)


def test_more_lines_than_a_window_holds_are_counted_and_dropped(log):
    now = [0.0]
    output = OutputLog("m", warn=True, clock=lambda: now[0])
    output.feed(b"x\n" * (MAX_LINES + 50))
    assert len(log) == MAX_LINES
    now[0] = WINDOW + 1
    output.feed(b"later\n")
    assert log[-2]["dropped_lines"] == 50
    assert log[-1]["line"] == "later"
