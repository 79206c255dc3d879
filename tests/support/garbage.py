"""Garbage collections that look only at what a test itself has made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

__all__ = ("only_new_garbage", "pytest_runtestloop")


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
