"""A dialect over a real socket, in front of any gateway: as its clients see it, without the rest of the application.

::

    async with serving(MyProtocol(), FakeGateway()) as url, httpx.AsyncClient(base_url=url) as client:
        ...

Needs nothing but pytest's own event loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from hyperllama.identity import LOCAL, Credentials, Principal
from hyperllama.spi import Gateway, WireProtocol

if TYPE_CHECKING:
    from litestar.types import ASGIApp


def anyone(credentials: Credentials) -> Principal:
    """Return this machine's own caller, for any credentials."""
    return LOCAL


@asynccontextmanager
async def serving(
    protocol: WireProtocol,
    gateway: Gateway,
    *,
    authenticate: Callable[[Credentials], Principal | None] = anyone,
    max_body_bytes: int = 16 * 1024 * 1024,
) -> AsyncGenerator[str, None]:
    """Serve ``protocol`` alone, and yield its base URL. ``authenticate`` identifies callers; None: unknown."""
    async with served(_application(protocol, gateway, authenticate, max_body_bytes), lifespan=False) as url:
        yield url


@asynccontextmanager
async def served(app: ASGIApp, *, lifespan: bool = True) -> AsyncGenerator[str, None]:
    """Serve ``app`` on a free port of this machine, on this event loop, and yield its base URL."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield  # they are the test run's

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            up.set()

    up = asyncio.Event()
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_config=None,
        lifespan="on" if lifespan else "off",
        ws="none",
    )
    server = Server(config)
    running = asyncio.create_task(server.serve())
    await up.wait()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


def _application(
    protocol: WireProtocol,
    gateway: Gateway,
    authenticate: Callable[[Credentials], Principal | None],
    max_body_bytes: int,
) -> ASGIApp:
    """Return the layers that stand between a socket and a dialect in the real application."""
    from hyperllama.web.auth import Authentication
    from hyperllama.web.litestar_app import litestar_app
    from hyperllama.web.request_log import RequestLog

    return RequestLog(
        litestar_app(
            [protocol], gateway, middleware=[Authentication((_Provider(authenticate),))], max_body_bytes=max_body_bytes
        )
    )


class _Provider:
    """``hyperllama.spi.AuthProvider``."""

    name = "test"

    def __init__(self, authenticate: Callable[[Credentials], Principal | None]) -> None:
        self._authenticate = authenticate

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        return self._authenticate(credentials)


__all__ = ("anyone", "served", "serving")
