"""The dialect over a real socket, in front of a gateway in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from hyperllama.errors import GatewayError
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.testing.fakes import FakeGateway, model_info
from hyperllama.testing.serving import serving
from hyperllama_anthropic.protocol import Anthropic
from hyperllama_anthropic.settings import Settings

HELLO = (
    TokenChunk(text="Hello"),
    TokenChunk(text=" there."),
    TokenChunk(tokens=0, finish_reason="stop", usage=Usage(9, 2, 4)),
)


class Script:
    """What the model says next."""

    def __init__(self) -> None:
        self.chunks: Sequence[TokenChunk | GatewayError] = HELLO
        self.gateway = FakeGateway(model_info("claude"), answer=lambda _: self.chunks)

    @property
    def asked(self) -> GenerationRequest:
        return self.gateway.requests[-1]

    def says(self, *chunks: TokenChunk | GatewayError) -> None:
        self.chunks = chunks


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def base_url(script: Script) -> AsyncIterator[str]:
    async with serving(Anthropic(Settings()), script.gateway) as url:
        yield url


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS on loopback
        yield client
