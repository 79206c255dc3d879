"""Core rooms with an engine that tests command."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hyperllama.catalog.catalog import Catalog
from hyperllama.config import Server
from hyperllama.models import ModelSpec
from hyperllama.modelstore.loadtimes import LoadTimes

# import-mode=importlib puts no test folder on the path
_spec = importlib.util.spec_from_file_location("fake_engine", Path(__file__).with_name("fake_engine.py"))
assert _spec and _spec.loader
fake_engine = sys.modules.setdefault("fake_engine", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(fake_engine)


@pytest.fixture
async def engine() -> fake_engine.FakeEngine:
    return fake_engine.FakeEngine()


@pytest.fixture
async def make_catalog(engine: fake_engine.FakeEngine) -> AsyncIterator[Callable[..., Catalog]]:
    made: list[Catalog] = []

    def make(*specs: ModelSpec, memory: int = 1000, **server: object) -> Catalog:
        catalog = Catalog(
            Server(**server), engines={"fake": engine}, sources={}, load_times=LoadTimes(None), memory=memory
        )
        catalog.add(specs or [ModelSpec(name="a", engine="fake", aliases=("alias",))])
        made.append(catalog)
        return catalog

    yield make
    for catalog in made:
        await catalog.close()
