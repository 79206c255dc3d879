"""Requests to paths that two dialects have: a header decides whose routes answer."""

from __future__ import annotations

from collections.abc import Sequence

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from hyperllama.spi import SharesPaths


class SharedPaths:
    """A wrapper of the application. Everybody around it sees the path that the client called."""

    def __init__(self, app: ASGIApp, *, protocols: Sequence[SharesPaths]) -> None:
        self._app = app
        self._known = {
            protocol.known_by.encode(): [(path.encode(), own.encode()) for path, own in protocol.shared_paths.items()]
            for protocol in protocols
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or (moved := self._moved(scope)) is None:
            await self._app(scope, receive, send)
            return
        called = scope["path"], scope["raw_path"]
        scope["path"], scope["raw_path"] = moved
        try:
            await self._app(scope, receive, send)
        finally:
            scope["path"], scope["raw_path"] = called

    def _moved(self, scope: Scope) -> tuple[str, bytes] | None:
        """Return the paths, decoded and raw, that the routes are to see; None: those that the client called."""
        path = scope["path"].encode("utf-8", "surrogateescape")
        for name, _ in scope["headers"]:
            for shared, own in self._known.get(name, ()):
                if path == shared or path.startswith(shared + b"/"):
                    raw: bytes = scope["raw_path"]
                    moved = raw.replace(shared, own, 1) if raw.startswith(shared) else own + path[len(shared) :]
                    return (own + path[len(shared) :]).decode("utf-8", "surrogateescape"), moved
        return None


__all__ = ("SharedPaths",)
