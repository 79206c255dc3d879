"""Internals of Litestar that the gateway relies on: its own answer to OPTIONS, which it adds to every path."""

from __future__ import annotations

from collections.abc import Iterator

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler


def is_options_handler(handler: BaseRouteHandler) -> bool:
    """Return whether ``handler`` is the one that Litestar adds: it lists a path's methods and runs nothing of ours."""
    return handler.fn.__name__ == "options_handler" and handler.fn.__module__ == "litestar.routes.http"


def route_handlers(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    """Yield the path and the handlers of every HTTP route of ``app``, without those that Litestar adds."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and not is_options_handler(handler):
                yield route.path, handler


__all__ = ("is_options_handler", "route_handlers")
