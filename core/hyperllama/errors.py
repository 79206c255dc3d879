"""Errors: one class for everything that can go wrong.

* GatewayError                      status
  x InvalidRequest                     400
    - UnsupportedFeature               400
    - ContextTooLong                   400
    - SchemaRefused                    400
  x Unauthenticated                    401
  x Forbidden                          403
  x NotFound                           404
    - ModelNotFound                    404
    - RouteNotFound                    404
  x MethodNotAllowed   (allow)         405
  x PayloadTooLarge                    413
  x RateLimited        (retry_after)   429
  x ClientGone                         499
  x EngineFailed                       502
  x Unavailable        (retry_after)   503
    - Overloaded                       503
    - ModelLoading                     503
    - ModelUnavailable                 503
    - Draining                         503
  x EngineTimeout                      504
  x LoadFailed                         500
    - LoadInterrupted  (retry_after)   503
  x StoreFailed                        500
    - StorageFull                      507

* ConfigError (not a GatewayError): the gateway does not start; exit code 2.

Errors carry meaning; each protocol encodes them in its own JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar


class GatewayError(Exception):
    """Base of every error the gateway raises on purpose.

    ``message`` is a sentence a client can act on, free of paths, addresses and secrets.
    ``param`` names the request field at fault, ``retry_after`` is in seconds, ``headers`` go with the answer.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.headers = dict(headers or {})

    @property
    def retry_seconds(self) -> int | None:
        """``Retry-After``: whole seconds, at least one, never too early. None: no such header."""
        return None if self.retry_after is None else max(1, math.ceil(self.retry_after))


class InvalidRequest(GatewayError):
    """The request can never succeed as written."""

    status = 400
    code = "invalid_request"


class UnsupportedFeature(InvalidRequest):
    """The model or its engine cannot do what the request needs."""

    code = "unsupported_feature"


class ContextTooLong(InvalidRequest):
    """Prompt and requested tokens do not fit the model's context."""

    code = "context_length_exceeded"


class SchemaRefused(InvalidRequest):
    """A schema cannot be enforced, and the request wants it enforced or not at all."""

    code = "invalid_json_schema"


class Unauthenticated(GatewayError):
    """No provider recognised the caller's credentials."""

    status = 401
    code = "invalid_api_key"


class Forbidden(GatewayError):
    """The caller is known and may not do this."""

    status = 403
    code = "permission_denied"


class NotFound(GatewayError):
    """The thing asked for does not exist."""

    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    """No model of that name is installed or configured. ``model``: the name as the caller wrote it."""

    code = "model_not_found"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        model: str = "",
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after, headers=headers)
        self.model = model


class RouteNotFound(NotFound):
    """No protocol has a route at this path."""

    code = "route_not_found"


class MethodNotAllowed(GatewayError):
    """The path exists, with other methods: ``allow`` lists them."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allow = allow


class PayloadTooLarge(GatewayError):
    """The request body is over the configured limit."""

    status = 413
    code = "payload_too_large"


class RateLimited(GatewayError):
    """The caller has used up an allowance."""

    status = 429
    code = "rate_limit_exceeded"


class ClientGone(GatewayError):
    """The client left before its request was complete. No client reads this; it keeps log and counters right."""

    status = 499
    code = "client_gone"


class EngineFailed(GatewayError):
    """The engine broke while it worked on this request."""

    status = 502
    code = "engine_failed"


class LoadFailed(GatewayError):
    """The model could not be loaded; the next request tries again."""

    status = 500
    code = "model_load_failed"


class LoadInterrupted(LoadFailed):
    """A load that may succeed when tried again: the engine ended, or the source did not answer. Has ``retry_after``."""

    status = 503


class StoreFailed(GatewayError):
    """The model store failed: no space, no network, or a file with unexpected content."""

    code = "store_failed"


class StorageFull(StoreFailed):
    """The gateway's disk is full; nothing of the upload is left on it."""

    status = 507
    code = "storage_full"


class Unavailable(GatewayError):
    """The request cannot be served now; ``retry_after`` says when to send it again."""

    status = 503
    code = "unavailable"


class Overloaded(Unavailable):
    """The queue for this model is full."""

    code = "overloaded"


class ModelLoading(Unavailable):
    """The model is being loaded and the caller does not wait any longer."""

    code = "model_loading"


class ModelUnavailable(Unavailable):
    """The model's engine died too often; the model rests before it is loaded again."""

    code = "model_unavailable"


class Draining(Unavailable):
    """The gateway is stopping and takes no new work."""

    code = "draining"


class EngineTimeout(GatewayError):
    """The engine did not answer in time."""

    status = 504
    code = "engine_timeout"


class ConfigError(Exception):
    """The configuration is not valid. The message says where, and what to do."""


__all__ = (
    "ClientGone",
    "ConfigError",
    "ContextTooLong",
    "Draining",
    "EngineFailed",
    "EngineTimeout",
    "Forbidden",
    "GatewayError",
    "InvalidRequest",
    "LoadFailed",
    "LoadInterrupted",
    "MethodNotAllowed",
    "ModelLoading",
    "ModelNotFound",
    "ModelUnavailable",
    "NotFound",
    "Overloaded",
    "PayloadTooLarge",
    "RateLimited",
    "RouteNotFound",
    "SchemaRefused",
    "StorageFull",
    "StoreFailed",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedFeature",
)
