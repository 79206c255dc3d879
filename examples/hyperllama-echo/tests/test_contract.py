"""The contract of engines, for the echo."""

from __future__ import annotations

import pytest
from hyperllama_echo import EchoEngine

from hyperllama.models import ModelSpec
from hyperllama.testing.engine import EngineContract


class TestEcho(EngineContract):
    @pytest.fixture
    def engine(self) -> EchoEngine:
        return EchoEngine()

    @pytest.fixture
    def spec(self) -> ModelSpec:
        return ModelSpec(name="parrot", engine="echo")
