"""What every dialect promises, of this one."""

from __future__ import annotations

import pytest

from hyperllama.testing.protocol import ProtocolContract
from hyperllama_openai.protocol import OpenAI
from hyperllama_openai.settings import Settings


class TestOpenAI(ProtocolContract):
    @pytest.fixture
    def protocol(self) -> OpenAI:
        return OpenAI(Settings())
