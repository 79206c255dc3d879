"""Fixtures and hooks of every room's tests; ``tests/support`` holds what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.support.bars import bar
from tests.support.costs import pytest_configure, pytest_runtestloop
from tests.support.logs import logging_as_before
from tests.support.postgres import empty_postgres, postgres
from tests.support.warming import pytest_collection_finish, pytest_runtest_setup, pytest_sessionfinish
from tests.support.workers import (
    pytest_cmdline_main,
    pytest_collection_modifyitems,
    pytest_report_to_serializable,
    pytest_xdist_make_scheduler,
)


@pytest.fixture(scope="session")
def loopback_hub() -> Callable[..., AbstractContextManager[Any]]:
    """Return a context manager that serves repositories' files as a Hugging Face Hub on loopback."""
    from tests.support.hub_server import loopback_hub

    return loopback_hub
