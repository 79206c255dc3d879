"""Litestar with the dialects mounted: each fails in its own words, and every route declares who may call it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.types import Middleware

from hyperllama.errors import ConfigError
from hyperllama.spi import Gateway, WireProtocol
from hyperllama.web.dialects import handlers_for, handlers_for_all
from hyperllama.web.litestar_compat import route_handlers
from hyperllama.web.routing import declared


def litestar_app(
    protocols: Sequence[WireProtocol],
    gateway: Gateway,
    *,
    middleware: Sequence[Middleware],
    max_body_bytes: int,
    routes: Sequence[HTTPRouteHandler] = (),
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]] = (),
) -> Litestar:
    """Return the application of ``protocols`` and ``routes``. Raise ConfigError for a route without a permission."""

    async def provide() -> Gateway:
        return gateway

    app = Litestar(
        route_handlers=[*(_mounted(protocol, protocols) for protocol in protocols), *routes],
        middleware=list(middleware),
        dependencies={"gateway": Provide(provide)},
        exception_handlers=handlers_for_all(protocols),
        lifespan=list(lifespan),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=max_body_bytes,
    )
    for _, handler in route_handlers(app):
        declared(handler)
    return app


def _mounted(protocol: WireProtocol, protocols: Sequence[WireProtocol]) -> Router:
    if not protocol.routes:
        raise ConfigError(f"The protocol {protocol.name!r} has no routes.")
    return Router(path="/", route_handlers=list(protocol.routes), exception_handlers=handlers_for(protocol, protocols))


__all__ = ("litestar_app",)
