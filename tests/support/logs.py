"""What a test configures of the log is its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

__all__ = ("logging_as_before",)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a test configures: a filter left behind would empty what later tests capture."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
