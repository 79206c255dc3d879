"""The MAX engine keeps the contracts that are shipped to plugin authors. Each test loads the model anew: nightly."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from hyperllama.models import ModelSpec
from hyperllama.spi import Engine
from hyperllama.testing.embeddings import EmbeddingContract
from hyperllama.testing.engine import EngineContract
from hyperllama_max.engine import MaxEngine
from tests.support.asking_max import CHAT, EMBED, LENGTH

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.max,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("max") is None, reason="MAX is not installed"),
]


class TestMax(EngineContract):
    timeout = 600.0

    @pytest.fixture
    def engine(self) -> Engine:
        return MaxEngine()

    @pytest.fixture
    def spec(self) -> ModelSpec:
        return ModelSpec(name="tiny", max_batch_size=2, **LENGTH)

    @pytest.fixture
    def path(self) -> Path | None:
        return CHAT


class TestMaxVectors(EmbeddingContract):
    timeout = 600.0

    @pytest.fixture
    def engine(self) -> Engine:
        return MaxEngine()

    @pytest.fixture
    def spec(self) -> ModelSpec:
        return ModelSpec(name="embed", max_batch_size=2)

    @pytest.fixture
    def path(self) -> Path | None:
        return EMBED
