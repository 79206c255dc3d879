"""The application over HTTP. What dialects of their own need of it is handed on here; the modules are private."""

from __future__ import annotations

from hyperllama.web.fetch import Fetcher, NotFetched
from hyperllama.web.forms import read_form
from hyperllama.web.json_body import MAX_DEPTH, nests_deeper, parse_json, read_json
from hyperllama.web.query import from_text, read_query
from hyperllama.web.routing import route
from hyperllama.web.streaming import (
    GatewayRequest,
    InjectedGateway,
    PieceResponse,
    TokenResponse,
    WholeResponse,
    caller,
    current_request_id,
    request_id,
)

__all__ = (
    "MAX_DEPTH",
    "Fetcher",
    "GatewayRequest",
    "InjectedGateway",
    "NotFetched",
    "PieceResponse",
    "TokenResponse",
    "WholeResponse",
    "caller",
    "current_request_id",
    "from_text",
    "nests_deeper",
    "parse_json",
    "read_form",
    "read_json",
    "read_query",
    "request_id",
    "route",
)
