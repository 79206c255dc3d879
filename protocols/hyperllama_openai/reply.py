"""Whole answers: complete ones, and those with the time they took in a header."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from litestar.response.base import ASGIResponse
from litestar.types import Message, Receive, Scope, Send

from hyperllama.web import WholeResponse, tools_left_out
from hyperllama_openai.decode.toolbox import Toolbox


class Timed(WholeResponse):
    """A JSON answer with ``openai-processing-ms``, counted from the creation of this object."""

    def __init__(self, work: Callable[[], Awaitable[bytes]], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(work, headers=headers)
        self._started = time.perf_counter_ns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                spent = (time.perf_counter_ns() - self._started) // 1_000_000
                message["headers"] = [*message["headers"], (b"openai-processing-ms", b"%d" % spent)]
            await send(message)

        await super().__call__(scope, receive, timed)


def ready(body: bytes, media_type: str = "application/json") -> ASGIResponse:
    """Return an answer that needs no more work."""
    return ASGIResponse(body=body, media_type=media_type)


def left_out(box: Toolbox) -> dict[str, str]:
    """Return the header that names the tools which the model does not see, since nothing here runs them."""
    return tools_left_out(sorted(box.elsewhere))


__all__ = ("Timed", "left_out", "ready")
