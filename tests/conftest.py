"""Fixtures and hooks of every room's tests; ``tests/support`` holds what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import structlog

from tests.support.bars import bar
from tests.support.postgres import empty_postgres, postgres
from tests.support.reports import pytest_report_to_serializable
from tests.support.warming import (
    pytest_cmdline_main,
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_runtest_setup,
    pytest_sessionfinish,
)


@pytest.fixture(scope="session")
def loopback_hub() -> Callable[..., AbstractContextManager[Any]]:
    """Return a context manager that serves repositories' files as a Hugging Face Hub on loopback."""
    from tests.support.hub_server import loopback_hub

    return loopback_hub


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a test configures: a filter left behind would empty what later tests capture."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
