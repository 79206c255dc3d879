"""The dialects that come with the gateway keep the contract that is shipped to plugin authors."""

from __future__ import annotations

import pytest

from hyperllama.config import Config
from hyperllama.spi import WireProtocol
from hyperllama.testing.protocol import ProtocolContract


class TestOpenAI(ProtocolContract):
    @pytest.fixture
    def protocol(self) -> WireProtocol:
        import hyperllama_openai

        return next(iter(hyperllama_openai.hyperllama_protocols(Config())))


class TestOllama(ProtocolContract):
    @pytest.fixture
    def protocol(self) -> WireProtocol:
        import hyperllama_ollama

        return next(iter(hyperllama_ollama.hyperllama_protocols(Config())))
