"""Gateways to hurt, with the fixtures of other rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import live
from tests.support.calls import end, make_call
from tests.support.databases import database, sent
from tests.support.gateways import start


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
