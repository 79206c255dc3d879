"""Errors in the format of the protocol that the path belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ExceptionHandlersMap

from hyperllama.errors import (
    ClientGone,
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    RouteNotFound,
    Unavailable,
)
from hyperllama.server.bounds import Spell, plain
from hyperllama.spi import ErrorReply, OverridesErrors, WireProtocol
from hyperllama.web.request import request_id

log = structlog.get_logger(__name__)

_REFUSALS: Mapping[int, type[GatewayError]] = {413: PayloadTooLarge, 503: Unavailable}

AnyRequest: TypeAlias = Request[Any, Any, Any]


def handlers_for(protocol: WireProtocol, protocols: Sequence[WireProtocol]) -> ExceptionHandlersMap:
    """Return the exception handlers of one protocol's router; any of ``protocols`` may override an answer."""
    overriding = _overriding(protocols)

    def spell(request: AnyRequest, error: Exception) -> Response[bytes]:
        return _response(_reply(protocol, overriding, _translate(request, error), request.url.path), error)

    return {GatewayError: spell, HTTPException: spell, Exception: spell}


def handlers_for_all(protocols: Sequence[WireProtocol]) -> ExceptionHandlersMap:
    """Return the exception handlers of the application, for paths that no router matched."""
    overriding = _overriding(protocols)

    def spell(request: AnyRequest, error: Exception) -> Response[bytes]:
        path = request.scope["path"]
        translated = _translate(request, error)
        protocol = owner(protocols, path)
        if protocol is None:
            body, media_type = plain(path, translated.status, translated.message)
            return _response(ErrorReply(translated.status, body, media_type), error)
        return _response(_reply(protocol, overriding, translated, path), error)

    return {GatewayError: spell, HTTPException: spell, Exception: spell}


def spelling(protocols: Sequence[WireProtocol]) -> Spell:
    """Return the function that writes the server's own refusals, which reach no route, in the dialect of their path."""

    def spell(path: str, status: int, reason: str) -> tuple[bytes, str]:
        protocol = owner(protocols, path)
        if protocol is None:
            return plain(path, status, reason)
        kind = _REFUSALS.get(status, InvalidRequest)
        reply = protocol.error_reply(kind(reason), path)
        return reply.body, reply.media_type

    return spell


def owner(protocols: Sequence[WireProtocol], path: str) -> WireProtocol | None:
    """Return the protocol with the longest prefix of ``path``; None when no protocol has one."""
    found: tuple[int, WireProtocol] | None = None
    for protocol in protocols:
        for prefix in protocol.prefixes:
            inside = prefix == "/" or path == prefix or path.startswith(prefix.rstrip("/") + "/")
            if inside and (found is None or len(prefix) > found[0]):
                found = (len(prefix), protocol)
    return found[1] if found else None


def _overriding(protocols: Sequence[WireProtocol]) -> Sequence[OverridesErrors]:
    return [protocol for protocol in protocols if isinstance(protocol, OverridesErrors)]


def _reply(protocol: WireProtocol, overriding: Sequence[OverridesErrors], error: GatewayError, path: str) -> ErrorReply:
    for other in overriding:
        if (reply := other.override_reply(error, path)) is not None:
            return reply
    return protocol.error_reply(error, path)


def _translate(request: AnyRequest, error: Exception) -> GatewayError:
    match error:
        case GatewayError():
            return error
        case MethodNotAllowedException():
            allow = (error.headers or {}).get("allow", "")
            methods = tuple(method.strip() for method in allow.split(",") if method.strip())
            return MethodNotAllowed("method not allowed", allow=methods)
        case NotFoundException():
            return RouteNotFound("not found")
        case HTTPException(status_code=413):
            return PayloadTooLarge(error.detail)
        case HTTPException(detail="client disconnected prematurely"):  # Litestar has no class of its own for it
            return ClientGone("The client left before its request was complete.")
        case HTTPException() if error.status_code < 500:
            return InvalidRequest(error.detail)
    log.error("request failed", path=request.scope["path"], request_id=request_id(request.scope), exc_info=error)
    return GatewayError(f"internal error; the log knows more under {request_id(request.scope)}")


def _response(reply: ErrorReply, error: Exception) -> Response[bytes]:
    headers = dict(reply.headers)
    if isinstance(error, GatewayError):
        headers = {**error.headers, **headers}
        if error.retry_seconds is not None:
            headers["retry-after"] = str(error.retry_seconds)
    return Response(reply.body, status_code=reply.status, media_type=reply.media_type, headers=headers)


__all__ = ("handlers_for", "handlers_for_all", "owner", "spelling")
