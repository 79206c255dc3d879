"""Who is calling and whether they may, decided on the matched handler before the body is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from hyperllama.errors import Forbidden, InvalidRequest, Unauthenticated
from hyperllama.identity import Credentials, Principal
from hyperllama.spi import AuthProvider
from hyperllama.web.in_process import PRINCIPAL
from hyperllama.web.litestar_compat import is_options_handler
from hyperllama.web.route import PUBLIC


class Authentication(ASGIMiddleware):
    """Asks the providers in order; the first answer wins and no answer is 401."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, providers: Sequence[AuthProvider]) -> None:
        self._providers = tuple(providers)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        handler = cast(BaseRouteHandler, scope["route_handler"])
        permission = PUBLIC if is_options_handler(handler) else handler.opt["permission"]
        if permission != PUBLIC:
            inside: Principal | None = scope.get(PRINCIPAL)  # type: ignore[assignment]  # of our own making
            principal = await self._principal(scope) if inside is None else inside
            if permission not in principal.permissions:
                raise Forbidden(f"this key does not have the permission {permission!r}")
            scope["user"] = principal
        await next_app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal:
        credentials = _credentials(scope)
        for provider in self._providers:
            principal = await provider.authenticate(credentials)
            if principal is not None:
                return principal
        if credentials.token is None:
            raise Unauthenticated("no API key was sent; send it as Authorization: Bearer <key>")
        raise Unauthenticated("the API key that was sent is not valid")


def _credentials(scope: Scope) -> Credentials:
    headers: Mapping[str, str] = ASGIConnection[object, object, object, object](scope).headers  # type: ignore[type-var]
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    sent = {value.strip() for value in (headers.get("x-api-key"), headers.get("api-key")) if value and value.strip()}
    if kind.lower() == "bearer" and bearer.strip():
        sent.add(bearer.strip())
    if len(sent) > 1:
        raise InvalidRequest("two different API keys were sent in one request; send one")
    client = scope.get("client")
    return Credentials(token=sent.pop() if sent else None, headers=headers, client=client[0] if client else None)


__all__ = ("Authentication",)
