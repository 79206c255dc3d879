"""A log line is one line of bounded size, whatever a client, an exception or a library puts into it."""

from __future__ import annotations

import io
import json
import logging as standard
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hyperllama.config import Logs
from hyperllama.observability import bounded, logging
from hyperllama.observability.repeats import EXCEPTIONS, REMEMBERED, WARNINGS, WINDOW, Repeats

LINE = 2048
HUGE = "prompt " * 5_000


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def deep(n: int = 500) -> None:
    if n:
        deep(n - 1)
    raise ValueError(HUGE)


def endless() -> None:
    endless()


def chained() -> None:
    error: Exception | None = None
    for n in range(20):
        made = ValueError(f"{n} {HUGE}")
        made.__cause__ = error
        error = made
    assert error is not None
    raise error


def looped() -> None:
    one, other = ValueError("a"), ValueError("b")
    one.__cause__, other.__cause__ = other, one
    raise one


def group() -> None:
    raise ExceptionGroup(HUGE, [ValueError(HUGE) for _ in range(1000)])


def silent() -> None:
    raise Silent


def named() -> None:
    raise type("E" * 100_000, (Exception,), {})(HUGE)


def controls() -> None:
    raise ValueError("\n\r\x00\x1b[31m\x85\u2028\u2029" * 10_000)


def surrogates() -> None:
    raise ValueError("\ud800" * 10_000)


def wide() -> None:
    raise ValueError("\U0001f600" * 10_000)


RAISERS: tuple[Callable[[], None], ...] = (
    *(deep, endless, chained, looped, group, silent, named, controls, surrogates, wide),
)
VALUES: tuple[Any, ...] = (
    *(HUGE, "\x00" * 100_000, "\ud800" * 5000, "\u2028" * 5000, '"' * 5000, "\\" * 5000, b"\xff" * 100_000),
    *([HUGE] * 50, {HUGE + str(n): HUGE for n in range(20)}, [[[[HUGE]]]], 10**1000, float("nan"), -(2**70)),
    *({1: {2: {3: [HUGE]}}}, set(range(1000)), object(), Silent(), ValueError(HUGE), Silent, None, True, 1.5),
)


@pytest.fixture(params=["json", "console"])
def written(request: pytest.FixtureRequest) -> Iterator[Callable[[], list[str]]]:
    """Configure logging into a buffer; calling the value returns the lines since the last call."""
    root, before, buffer = standard.getLogger(), structlog.get_config(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", buffer)
        logging.configure(Logs(format=request.param, level="debug"))

    def read() -> list[str]:
        lines = buffer.getvalue().split("\n")[:-1]
        buffer.seek(0)
        buffer.truncate()
        if request.param == "json":
            assert all(isinstance(json.loads(line), dict) for line in lines)
        return lines

    yield read
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def size(lines: list[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


@pytest.mark.parametrize("raiser", RAISERS, ids=lambda raiser: raiser.__name__)
def test_an_exception_writes_at_most_two_kibibytes(
    raiser: Callable[[], None], written: Callable[[], list[str]]
) -> None:
    log = structlog.get_logger("test")
    try:
        raiser()
    except BaseException as error:
        log.error("request failed", path="/" + "a" * 8000, request_id="r", exc_info=error)
        lines = written()
        log.exception("request failed", path="/" + "\x1b" * 8000, request_id="r")
        again = written()
        standard.getLogger("library").exception("failed %s", HUGE)
        theirs = written()
    for found in (lines, again, theirs):
        assert 0 < size(found) <= LINE
        assert "test_logging" in "".join(found)  # where it happened


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_of_any_kind_keeps_a_line_small(value: Any, written: Callable[[], list[str]]) -> None:
    log = structlog.get_logger("test")
    log.info("request", **{f"field{n}": value for n in range(100)}, request_id="r")
    (line,) = written()
    assert len(line.encode()) <= LINE
    log.warning(value, value=value)
    assert 0 < size(written()) <= LINE
    standard.getLogger("library").warning("failed %s", HUGE)
    assert 0 < size(written()) <= LINE


def test_the_id_of_the_request_is_kept_when_much_is_cut(written: Callable[[], list[str]]) -> None:
    structlog.get_logger("test").error("failed", **{f"a{n}": HUGE for n in range(50)}, request_id="the-id")
    assert "the-id" in "".join(written())


@given(st.text(), st.integers(min_value=3, max_value=400))
def test_cut_keeps_to_its_bytes(text: str, limit: int) -> None:
    found = bounded.cut(text, limit)
    assert len(bounded.encode(found).encode()) - 2 <= limit
    assert found.removesuffix("...") in text or found == text


@given(st.text(alphabet="\u2028\u2029\x85\n\r\x0b\x0c\x1c\x00a"))
def test_json_is_one_line_for_every_reader(text: str) -> None:
    line = bounded.encode({"a": text})
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {"a": text}


def test_the_same_exception_is_written_a_few_times_a_minute(written: Callable[[], list[str]]) -> None:
    log = structlog.get_logger("test")
    for n in range(1000):
        try:
            raise ValueError(f"{n}")
        except ValueError:
            log.exception("failed", request_id=str(n))
        if n % 2:
            standard.getLogger("library").error("failed %d", n)
    lines = [line for line in written() if "failed" in line]
    assert len(lines) == EXCEPTIONS + WARNINGS


def test_what_was_dropped_is_counted_and_other_errors_are_not_held_up() -> None:
    now = [0.0]
    repeats = Repeats(clock=lambda: now[0])

    def kept(event: str, **fields: Any) -> dict[str, Any] | None:
        try:
            return dict(repeats(None, "error", {"event": event, **fields}))
        except structlog.DropEvent:
            return None

    assert sum(kept("a") is not None for _ in range(1000)) == WARNINGS
    assert kept("b") == {"event": "b"}
    assert sum(kept("c", exc_info=ValueError("x")) is not None for _ in range(100)) == EXCEPTIONS
    assert kept("c", exc_info=TypeError("x")) is not None
    now[0] = WINDOW
    assert kept("a") == {"event": "a", "dropped": 1000 - WARNINGS}
    assert kept("a") == {"event": "a"}
    assert repeats(None, "info", {"event": "request"}) == {"event": "request"}
    for n in range(REMEMBERED * 3):
        kept(f"event {n}")
    assert len(repeats._seen) <= REMEMBERED


def test_a_frame_is_a_module_a_line_and_a_function_and_no_source() -> None:
    try:
        deep(3)
    except ValueError as error:
        event = bounded.exception(None, "error", {"event": "x", "exc_info": error})
    lines = event["exception"].splitlines()
    assert lines[0].startswith("ValueError: prompt")
    assert all(" deep" in line or " test_a_frame" in line for line in lines[1:])
    assert "raise" not in event["exception"]
    assert sys.path[0] == "" or sys.path[0] not in event["exception"]
