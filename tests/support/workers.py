"""How ``pytest -n 2`` deals the tests out, and how their reports come back.

A worker gets whole files, so that what a file's tests share is made once. All that load a model on MAX are one portion,
and the first: it is the longest, each model is loaded once, and the rest fills up around it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

__all__ = (
    "encodable",
    "needs_max",
    "pytest_cmdline_main",
    "pytest_collection_modifyitems",
    "pytest_report_to_serializable",
    "pytest_xdist_make_scheduler",
)


def needs_max(item: pytest.Item) -> bool:
    return item.get_closest_marker("max") is not None


def pytest_cmdline_main(config: pytest.Config) -> None:
    """Let ``-n`` keep the tests of a portion on one worker, and deal the portions out in order."""
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadgroup"
        config.option.loadscopereorder = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler of whole files and of named groups, where the tests of a group are to stay together."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    class ByFile(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scope: str = super()._split_scope(nodeid)
            return scope.partition("::")[0]

    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort what needs MAX to the end, where its models stay loaded; to the beginning in a worker."""
    grouped = getattr(config.option, "loadgroup", False)
    items.sort(key=needs_max, reverse=grouped)
    for item in items:
        if grouped and needs_max(item):
            item.add_marker(pytest.mark.xdist_group("max"))


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
