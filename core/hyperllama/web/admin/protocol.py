"""The admin API as a dialect of its own: beneath ``/admin``, with errors as problem details."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import msgspec
from litestar import Router
from litestar.handlers import HTTPRouteHandler
from litestar.types import ControllerRouterHandler, Guard

from hyperllama.errors import GatewayError, MethodNotAllowed
from hyperllama.observability.request_record import current_request
from hyperllama.spi import ErrorReply
from hyperllama.web.admin.wire import Problem


class AdminProtocol:
    """``hyperllama.spi.WireProtocol`` of the core."""

    name = "admin"
    prefixes = ("/admin",)
    error_bodies = (Problem,)

    def __init__(self, routes: Sequence[HTTPRouteHandler], guard: Guard) -> None:
        """Make a dialect of ``routes``, each behind ``guard``."""
        self.routes: Sequence[ControllerRouterHandler] = (Router(path="/", route_handlers=routes, guards=[guard]),)

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        headers = {"cache-control": "no-store"}
        if error.retry_seconds is not None:
            headers["retry-after"] = str(error.retry_seconds)
        if isinstance(error, MethodNotAllowed):
            headers["allow"] = ", ".join(error.allow)
        record = current_request.get()
        problem = Problem(
            title=HTTPStatus(error.status).phrase if error.status != 499 else "Client Gone",
            status=error.status,
            detail=error.message,
            code=error.code,
            param=error.param,
            request_id=record.request_id if record is not None else "",
        )
        return ErrorReply(error.status, msgspec.json.encode(problem), "application/problem+json", headers)


__all__ = ("AdminProtocol",)
