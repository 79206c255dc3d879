"""The sim engine keeps the contracts that are shipped to plugin authors."""

from __future__ import annotations

from typing import Any

import pytest

from hyperllama.models import ModelSpec
from hyperllama.spi import Engine
from hyperllama.testing.embeddings import EmbeddingContract
from hyperllama.testing.engine import EngineContract
from hyperllama_sim.engine import SimEngine


class TestSimInProcess(EngineContract):
    timeout = 20.0

    @pytest.fixture
    def engine(self) -> Engine:
        return SimEngine()

    @pytest.fixture
    def spec(self) -> ModelSpec:
        return ModelSpec(name="sim", engine="sim", max_batch_size=2, max_length=256)


class TestSimAtAPace(TestSimInProcess):
    @pytest.fixture
    def spec(self) -> ModelSpec:
        options: dict[str, Any] = {"tokens_per_second": 2000, "ttft_ms": 2, "load_seconds": 0.02}
        return ModelSpec(name="sim", engine="sim", max_batch_size=2, max_length=256, options=options)


class TestSimVectors(EmbeddingContract):
    timeout = 20.0

    @pytest.fixture
    def engine(self) -> Engine:
        return SimEngine()

    @pytest.fixture
    def spec(self) -> ModelSpec:
        return ModelSpec(name="sim", engine="sim", max_length=64, options={"embedding": 16})
