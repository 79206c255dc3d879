"""Authenticate the caller and check the permission of the matched route, before the body is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from hyperllama.errors import Forbidden, InvalidRequest, Unauthenticated
from hyperllama.identity import Principal
from hyperllama.spi import AuthProvider
from hyperllama.web.carriers import credentials
from hyperllama.web.in_process import PRINCIPAL
from hyperllama.web.litestar_compat import is_options_handler
from hyperllama.web.routing import PUBLIC


class Authentication(ASGIMiddleware):
    """The middleware that tries the providers in order. The first principal wins; without one the answer is 401.

    Of two different keys none is tried: where a key is needed the answer is 400, whether one of them is right or not.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, providers: Sequence[AuthProvider]) -> None:
        self._providers = tuple(providers)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        handler = cast(BaseRouteHandler, scope["route_handler"])
        permission = PUBLIC if is_options_handler(handler) else handler.opt["permission"]
        if permission != PUBLIC:
            known: Principal | None = scope.get(PRINCIPAL)  # type: ignore[assignment]  # of our own making
            principal = await self._principal(scope) if known is None else known
            if permission not in principal.permissions:
                raise Forbidden(f"This key does not have the permission {permission!r}.")
            scope["user"] = principal
        await next_app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal:
        found, several = credentials(scope)
        for provider in self._providers:
            principal = await provider.authenticate(found)
            if principal is not None:
                return principal
        if several:
            raise InvalidRequest("The request has two different API keys. Send one.")
        if found.token is None:
            raise Unauthenticated("No API key was sent. Send it as Authorization: Bearer <key>.")
        raise Unauthenticated("The API key is not valid.")


__all__ = ("Authentication",)
