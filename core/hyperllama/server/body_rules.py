"""The body limits and encodings that routes declare, for the guard to apply before it reads a byte of a body."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from litestar import Litestar
from litestar.routes import HTTPRoute

from hyperllama.server.bounds import BodyLimit, Encodings

#: In a handler's ``opt``: the content codings, in lower case, that it decodes itself.
ENCODINGS = "encodings"
_BODIES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def declared_limits(app: Litestar, default: int) -> BodyLimit:
    """Return a lookup of ``request_max_body_size`` by path: each route's of ``app``, ``default`` for every other path.

    Where handlers of one path differ, the most generous counts, and Litestar holds the others to theirs.
    """
    own: list[tuple[re.Pattern[str], int | None]] = []
    for route, pattern in _routes(app):
        sizes = [
            handler.resolve_request_max_body_size()
            for handler in route.route_handlers
            if handler.http_methods & _BODIES
        ]
        limit = None if None in sizes else max((size for size in sizes if size is not None), default=default)
        if sizes and limit != default:
            own.append((pattern, limit))

    @lru_cache(maxsize=256)  # nearly every request has one of a few paths
    def limit_of(path: str) -> int | None:
        return next((limit for pattern, limit in own if pattern.fullmatch(path)), default)

    return limit_of


def declared_encodings(app: Litestar) -> Encodings:
    """Return a lookup of ``opt["encodings"]`` by path, for the routes of ``app``; empty for every other path."""
    own = [
        (pattern, frozenset(codings))
        for route, pattern in _routes(app)
        if (codings := [coding for handler in route.route_handlers for coding in handler.opt.get(ENCODINGS, ())])
    ]

    def encodings_of(path: str) -> Collection[str]:
        return next((codings for pattern, codings in own if pattern.fullmatch(path)), ())

    return encodings_of


def _routes(app: Litestar) -> Iterator[tuple[HTTPRoute, re.Pattern[str]]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            parts = [re.escape(part) if isinstance(part, str) else "[^/]+" for part in route.path_components]
            yield route, re.compile("/" + "/".join(parts) + "/?")


__all__ = ("ENCODINGS", "declared_encodings", "declared_limits")
