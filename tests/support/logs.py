"""What tests log goes to what pytest captures, and costs little."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

__all__ = ("logging_as_before", "pytest_configure")


def pytest_configure() -> None:
    """Log tracebacks as Python prints them: structlog's own show every local variable, for half a second each."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a test configures: a filter left behind would empty what later tests capture."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
