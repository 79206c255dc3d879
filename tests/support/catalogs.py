"""Catalogs over an engine that tests command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hyperllama.catalog.catalog import Catalog
from hyperllama.config import Server
from hyperllama.models import ModelSpec
from hyperllama.modelstore.loadtimes import LoadTimes
from tests.support.fake_engine import FakeEngine


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def make_catalog(engine: FakeEngine) -> AsyncIterator[Callable[..., Catalog]]:
    made: list[Catalog] = []

    def make(*specs: ModelSpec, memory: int = 1000, **server: Any) -> Catalog:
        catalog = Catalog(
            Server(**server), engines={"fake": engine}, sources={}, load_times=LoadTimes(None), memory=memory
        )
        catalog.add(specs or [ModelSpec(name="a", engine="fake", aliases=("alias",))])
        made.append(catalog)
        return catalog

    yield make
    for catalog in made:
        await catalog.close()
