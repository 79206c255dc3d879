"""A request as route handlers see it: its types, its sender and its id."""

from __future__ import annotations

import math
import re
from typing import Any, TypeAlias, cast

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.types import Scope

from hyperllama.identity import Caller, Principal
from hyperllama.observability.request_record import current_request
from hyperllama.spi import Gateway

#: How a route handler asks Litestar for the gateway.
InjectedGateway: TypeAlias = NamedDependency[SkipValidation[Gateway]]
#: The request type of every handler.
GatewayRequest: TypeAlias = Request[Principal, None, State]

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*(\d{1,6})\b")


def caller(request: Request[Any, Any, Any], protocol: str) -> Caller:
    """Describe the sender of ``request`` to the core. Needs the authentication middleware around the route."""
    scope = request.scope
    return Caller(
        protocol=protocol,
        principal=scope["user"],
        request_id=request_id(scope),
        headers=scope["state"].get("headers", {}),
        wait_timeout=_wait_timeout(request.headers.get("prefer")),
        traceparent=request.headers.get("traceparent", ""),
    )


def _wait_timeout(prefer: str | None) -> float:
    """Read the seconds of ``Prefer: wait=<seconds>`` (RFC 7240); without it there is no limit."""
    found = _WAIT.search(prefer) if prefer else None
    return float(found.group(1)) if found else math.inf


def request_id(scope: Scope) -> str:
    """Return the id that the answer carries as ``x-request-id``."""
    return cast(str, scope["state"]["request_id"])


def current_request_id() -> str:
    """Return the id of the request that is being served, where no request is at hand; empty outside one."""
    record = current_request.get()
    return record.request_id if record is not None else ""


__all__ = ("GatewayRequest", "InjectedGateway", "caller", "current_request_id", "request_id")
