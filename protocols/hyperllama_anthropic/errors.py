"""Our errors in Anthropic's envelope."""

from __future__ import annotations

import msgspec

from hyperllama.errors import (
    ContextTooLong,
    EngineTimeout,
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
    Unavailable,
)
from hyperllama.spi import ErrorReply
from hyperllama.web import Violation, current_request_id
from hyperllama_anthropic.wire import ErrorBody, ErrorEnvelope

_JSON = msgspec.json.Encoder()
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OVERLOADED = 529
OWN = "/anthropic"  # begins the routes that stand for paths which another dialect has, too


class BodyRefusals:
    """``hyperllama.web.BodyErrors`` as Anthropic spells them: the field's path, a colon, what is wrong."""

    def invalid(self, violation: Violation) -> InvalidRequest:
        """Return the refusal of a body that is not of its type."""
        path = violation.path.replace("[", ".").replace("]", "")
        if violation.missing:
            return InvalidRequest(f"{path}: Field required", param=path)
        return InvalidRequest(f"{path}: {violation.reason}" if path else violation.reason, param=path or None)

    def unknown(self, field: str) -> InvalidRequest:
        """Return the refusal of a field that the type lacks."""
        return invalid(field, "Extra inputs are not permitted")

    def too_many(self, field: str, reason: str) -> InvalidRequest:
        """Return the refusal of more than ``[body]`` allows."""
        return invalid(field, reason)


def invalid(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{param}: {why}", param=param)


def envelope(error: GatewayError, path: str = "") -> ErrorEnvelope:
    return ErrorEnvelope(error=ErrorBody(type=_type(error), message=_message(error, path)))


def reply(error: GatewayError, path: str) -> ErrorReply:
    headers: dict[str, str] = {}
    if request_id := current_request_id():
        headers["request-id"] = request_id  # where Anthropic's clients look for it
    if error.retry_seconds is not None:
        headers["retry-after"] = str(error.retry_seconds)
    if error.code == "insufficient_quota":
        headers["x-should-retry"] = "false"  # the SDK's word for it: a used-up quota does not come back in seconds
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allow)
    return ErrorReply(_status(error), _JSON.encode(envelope(error, path)), "application/json", headers)


def _status(error: GatewayError) -> int:
    """Return the status: for an overloaded server Anthropic's own number, else the error's."""
    return _OVERLOADED if isinstance(error, Unavailable) else error.status


def _type(error: GatewayError) -> str:
    if isinstance(error, EngineTimeout):
        return "timeout_error"
    status = _status(error)
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def _message(error: GatewayError, path: str) -> str:
    if isinstance(error, RouteNotFound):
        return f"Not found: {path.removeprefix(OWN)[:200]}"
    if isinstance(error, ContextTooLong) and "prompt is too long" not in error.message.lower():
        return f"prompt is too long: {error.message}"  # the words that agents look for before they shorten it
    return error.message or "Internal server error"


__all__ = ("OWN", "BodyRefusals", "envelope", "invalid", "reply")
