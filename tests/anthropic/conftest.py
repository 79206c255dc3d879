"""The dialect over a real socket, in front of a gateway in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
import uvicorn
from litestar import Litestar, Router
from litestar.di import Provide

from hyperllama.errors import GatewayError
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.identity import LOCAL, Credentials, Principal
from hyperllama.spi import Gateway
from hyperllama.testing.fakes import FakeGateway, model_info
from hyperllama.web.auth import Authentication
from hyperllama.web.dialects import handlers_for, handlers_for_all
from hyperllama.web.envelope import Envelope
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


class Anyone:
    """Lets everyone in."""

    name = "anyone"

    async def authenticate(self, credentials: Credentials) -> Principal:
        return LOCAL


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def base_url(script: Script) -> AsyncIterator[str]:
    protocol = Anthropic(Settings())

    async def gateway() -> Gateway:
        return script.gateway

    router = Router(path="/", route_handlers=list(protocol.routes), exception_handlers=handlers_for(protocol))
    app = Litestar(
        route_handlers=[router],
        middleware=[Authentication((Anyone(),))],
        dependencies={"gateway": Provide(gateway)},
        exception_handlers=handlers_for_all([protocol]),
        openapi_config=None,
        logging_config=None,
    )
    config = uvicorn.Config(Envelope(app), host="127.0.0.1", port=0, log_config=None, lifespan="off", ws="none")
    server = _Server(config)
    serving = asyncio.create_task(server._serve())
    await server.up.wait()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS on loopback
        yield client
