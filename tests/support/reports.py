"""Reports of tests, made fit for the way from a worker of ``pytest -n 2`` to the terminal."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

__all__ = ("encodable", "pytest_report_to_serializable")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escape lone surrogates, as tests of broken text show when they fail: one ends the worker that sends it."""
    return encodable((yield))


def encodable(data: Any) -> Any:
    """Return the data of a report with each text in it such that UTF-8 can carry it."""
    match data:
        case str():
            return data.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {encodable(key): encodable(value) for key, value in data.items()}
        case list():
            return [encodable(item) for item in data]
        case tuple():
            return tuple(encodable(item) for item in data)
        case _:
            return data
