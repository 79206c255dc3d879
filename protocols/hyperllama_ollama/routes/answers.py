"""What the handlers share: bodies read off the loop when large, streams that may still fail, the router's manners."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from litestar import Request
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from hyperllama.errors import GatewayError, LoadFailed, RateLimited, RouteNotFound, Unavailable
from hyperllama.stream import TokenStream
from hyperllama_ollama import errors, paths

T = TypeVar("T")

_THREAD_FROM = 256 * 1024  # bytes of a body; reading more would be felt by other requests


async def read(decode: Callable[[bytes], T], raw: bytes) -> T:
    """``decode`` of a request body, in a thread when that is long work."""
    if len(raw) >= _THREAD_FROM:
        return await asyncio.to_thread(decode, raw)
    return decode(raw)


def json(body: bytes, *, status: int = 200, media_type: str = errors.JSON) -> ASGIResponse:
    """An answer that is already made."""
    return ASGIResponse(body=body, status_code=status, headers={"content-type": media_type})


class Empty(ASGIResponse):
    """A status and nothing else: a body that is not there has no type."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = {key: value for key, value in self.headers.items() if key != "content-type"}
        headers = [(key.encode(), value.encode()) for key, value in {**kept, "content-length": "0"}.items()]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def empty(status: int = 200) -> ASGIResponse:
    return Empty(status_code=status)


def one(open_: Callable[[], Awaitable[TokenStream]]) -> Callable[[], Awaitable[Sequence[TokenStream]]]:
    """For a response of several generations: there is one."""

    async def start() -> Sequence[TokenStream]:
        return (await open_(),)

    return start


class OrError(ASGIResponse):
    """``answer``, or the error that took its place before it began: then, and only then, Ollama sends no charset."""

    def __init__(self, answer: ASGIResponse) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except GatewayError as error:
            scheduled = isinstance(error, Unavailable | RateLimited | LoadFailed)  # refused before the model saw it
            reply = errors.reply(error, errors.JSON if scheduled else errors.BARE_JSON)
            headers = {"content-type": reply.media_type, **reply.headers}
            refusal = ASGIResponse(body=reply.body, status_code=reply.status, headers=headers)
            await refusal(scope, receive, send)


async def before(request: Request[Any, Any, Any]) -> ASGIResponse | None:
    """The router here takes any number of slashes; Ollama's redirects one at the end and does not know others."""
    path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
    if len(path) < 2 or not ("//" in path or path.endswith("/")):
        return None
    target = paths.redirect(request.method, path, request.scope["query_string"].decode("latin-1"), known=bool)
    if target is None or "//" in path:
        raise RouteNotFound("not found")
    return Empty(status_code=target.status, headers={"location": target.location})


__all__ = ("OrError", "before", "empty", "json", "one", "read")
