"""The application over HTTP. This package exports the names that dialects may use; its modules are private."""

from __future__ import annotations

from hyperllama.system.executors import Workers
from hyperllama.web.answers import PieceResponse, TokenResponse, WholeResponse, tools_left_out
from hyperllama.web.body import BodyErrors, BodyReader, ParsedBody, Violation
from hyperllama.web.counts import Countable
from hyperllama.web.documents import Documents, InlineDocuments
from hyperllama.web.fetch import Fetcher, NotFetched
from hyperllama.web.forms import read_form
from hyperllama.web.images import MAX_IMAGES, InlineImages, TooManyImages, image_bytes, shown_images
from hyperllama.web.query import from_text, read_query
from hyperllama.web.request import GatewayRequest, InjectedGateway, caller, current_request_id, request_id
from hyperllama.web.routing import Resource, route
from hyperllama.web.strict_json import MAX_DEPTH, json_excess, nests_deeper, parse_json

__all__ = (
    "MAX_DEPTH",
    "MAX_IMAGES",
    "BodyErrors",
    "BodyReader",
    "Countable",
    "Documents",
    "Fetcher",
    "GatewayRequest",
    "InjectedGateway",
    "InlineDocuments",
    "InlineImages",
    "NotFetched",
    "ParsedBody",
    "PieceResponse",
    "Resource",
    "TokenResponse",
    "TooManyImages",
    "Violation",
    "WholeResponse",
    "Workers",
    "caller",
    "current_request_id",
    "from_text",
    "image_bytes",
    "json_excess",
    "nests_deeper",
    "parse_json",
    "read_form",
    "read_query",
    "request_id",
    "route",
    "shown_images",
    "tools_left_out",
)
