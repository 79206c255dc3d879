"""Requests to routes from inside the process, with their principal already known."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

from litestar.types import ASGIApp, HTTPScope, Message

from hyperllama.batches.job import Reply
from hyperllama.identity import Principal
from hyperllama.spi import BatchAnswer

#: In a scope that no client can make: the principal who asks.
PRINCIPAL = "hyperllama.principal"


class InProcessClient:
    """``hyperllama.batches.job.Ask`` over an application. Cancelling a call has the effect of a client's leaving."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, path: str, body: bytes, principal: Principal) -> Reply:
        headers = [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": None,
            "server": None,
            PRINCIPAL: principal,
        }
        sent = False
        status = 500
        got: dict[str, str] = {}
        pieces: list[bytes] = []

        async def receive() -> Any:
            nonlocal sent
            if sent:
                await asyncio.get_running_loop().create_future()  # the client leaves only by cancellation
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                got.update((name.decode().lower(), value.decode("latin-1")) for name, value in message["headers"])
            elif message["type"] == "http.response.body":
                pieces.append(message["body"])

        await self._app(cast(HTTPScope, scope), receive, send)
        retry_after = None
        with contextlib.suppress(KeyError, ValueError):
            retry_after = float(got["retry-after"])
        return Reply(BatchAnswer(status, got.get("x-request-id", ""), b"".join(pieces)), retry_after)


__all__ = ("PRINCIPAL", "InProcessClient")
