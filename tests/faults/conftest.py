"""Gateways to hurt."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def _load(name: str, path: Path) -> Any:
    """A module by its path: import-mode=importlib puts no test folder on ``sys.path``."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


live = _load("live", HERE / "live.py")
_load("corpus", HERE / "corpus.py")
# Fixtures of other rooms: the real command in a process, calls to send through gates, doors with a database.
start = _load("faults_e2e", HERE.parent / "e2e" / "conftest.py").start
_stages = _load("faults_stages", HERE.parent / "stages" / "conftest.py")
make_call, end = _stages.make_call, _stages.end
_access = _load("faults_access", HERE.parent / "access" / "conftest.py")
database, sent = _access.database, _access.sent


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Serve a configuration in this process; everything about it can be looked at."""
    running: list[Any] = []

    def go(config: str, *plugins: object, bounds: dict[str, Any] | None = None) -> Any:
        folder = tmp_path / f"live-{len(running)}"
        folder.mkdir()
        running.append(live.Live(config, folder, *plugins, bounds=bounds))
        return running[-1]

    yield go
    for each in running:
        each.stop()
