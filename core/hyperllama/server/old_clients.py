"""Answers as HTTP/1.0 can frame them: never in chunks. A body of unknown length ends with its connection."""

from __future__ import annotations

from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_BODYLESS = frozenset({204, 304})


class OldClient:
    """A wrapper of the application for one request in HTTP/1.0; ``cycle`` returns the exchange once it has begun."""

    def __init__(self, app: ASGIApp, cycle: Callable[[], RequestResponseCycle]) -> None:
        self._app = app
        self._cycle = cycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle = self._cycle()
        head_only = scope["type"] == ScopeType.HTTP and scope["method"] == "HEAD"
        unsized = False

        async def send_unchunked(message: Message) -> None:
            nonlocal unsized
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                names = {name.lower() for name, _ in headers}
                unsized = not (head_only or b"content-length" in names or message["status"] in _BODYLESS)
                if unsized:
                    cycle.chunked_encoding = False
                    cycle.keep_alive = False
                elif cycle.keep_alive and b"connection" not in names:  # in HTTP/1.0 it must be said
                    message["headers"] = [*headers, (b"connection", b"keep-alive")]
            elif unsized and message["type"] == "http.response.body":
                cycle.expected_content_length = len(message["body"])  # each piece is as long as it is
            await send(message)

        await self._app(scope, receive, send_unchunked)


__all__ = ("OldClient",)
