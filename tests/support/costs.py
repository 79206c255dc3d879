"""What would cost every test a little, spent once for the run."""

from __future__ import annotations

import functools
import gc
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

__all__ = ("only_new_garbage", "pytest_configure", "pytest_runtestloop")


def pytest_configure() -> None:
    """Log plain tracebacks, and read the certificates of authorities once.

    structlog's own tracebacks show every local variable, which takes half a second each; a client of httpx reads the
    certificates anew, though what it speaks to is on loopback.
    """
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])
    anew = ssl.create_default_context
    once = functools.cache(lambda file: anew(cafile=file))

    def context(*arguments: Any, **named: Any) -> ssl.SSLContext:
        alone = not arguments and list(named) == ["cafile"]
        found: ssl.SSLContext = once(named["cafile"]) if alone else anew(*arguments, **named)
        return found

    ssl.create_default_context = context


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Take the modules that all tests have imported out of every later collection."""
    gc.collect()
    gc.freeze()


@contextmanager
def only_new_garbage() -> Iterator[None]:
    """Leave out of collections what the tests before have made: each would look at all of it again."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
