"""Authenticate the caller and check the permission of the matched route, before the body is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from hyperllama.errors import Forbidden, InvalidRequest, Unauthenticated
from hyperllama.identity import Credentials, Principal
from hyperllama.spi import AuthProvider
from hyperllama.web.in_process import PRINCIPAL
from hyperllama.web.litestar_compat import is_options_handler
from hyperllama.web.routing import PUBLIC

_CARRIERS = frozenset({b"authorization", b"x-api-key", b"api-key"})
_BLANKS = " \t"


class Authentication(ASGIMiddleware):
    """The middleware that tries the providers in order. The first principal wins; without one the answer is 401."""

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
        credentials = _credentials(scope)
        for provider in self._providers:
            principal = await provider.authenticate(credentials)
            if principal is not None:
                return principal
        if credentials.token is None:
            raise Unauthenticated("No API key was sent. Send it as Authorization: Bearer <key>.")
        raise Unauthenticated("The API key is not valid.")


def _credentials(scope: Scope) -> Credentials:
    """Read the key from every header that may carry one. Raise InvalidRequest for two different keys.

    Every line counts, a header that is sent twice too: of two keys neither is preferred, since a proxy and the gateway
    could prefer different ones. Only ASCII blanks around a key are not part of it.
    """
    sent = set()
    for name, value in cast(HTTPScope, scope)["headers"]:
        if name not in _CARRIERS:
            continue
        token = value.decode("latin-1").strip(_BLANKS)
        if name == b"authorization":
            kind, _, token = token.partition(" ")
            token = token.strip(_BLANKS) if kind.lower() == "bearer" else ""
        if token:
            sent.add(token)
    if len(sent) > 1:
        raise InvalidRequest("The request has two different API keys. Send one.")
    client = scope.get("client")
    headers: Mapping[str, str] = ASGIConnection[object, object, object, object](scope).headers  # type: ignore[type-var]
    return Credentials(token=sent.pop() if sent else None, headers=headers, client=client[0] if client else None)


__all__ = ("Authentication",)
