"""Answers that cost work: begun only while the client is there, sent as they are made, cancelled when it leaves."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias, cast

from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from hyperllama.errors import GatewayError
from hyperllama.server.outlet import OUTLET, Outlet
from hyperllama.spi import ChunkEncoder
from hyperllama.stream import TokenStream
from hyperllama.web.token_sources import KeepAlive, MergedStreams, SingleStream

EVENTS = "text/event-stream"
#: The header that names the types of tools which the model was not shown, since nothing here runs them; decision 009.
TOOLS_LEFT_OUT = "x-hyperllama-tools-left-out"
_MOST_LEFT_OUT = 16  # names in that header
_TYPE = re.compile(r"[\w.-]{1,64}", re.ASCII)

Start: TypeAlias = Callable[[], Awaitable[Sequence[TokenStream]]]


class TokenResponse(ASGIResponse):
    """An answer of one or more generations, sent while they are made.

    ``start`` admits them; it runs here, not in the handler, so that a client that leaves while queued or while the
    model loads cancels that too. The status line leaves with the first bytes of the answer: whatever raises before goes
    to the route's exception handlers, whatever raises after is encoded by ``encoder.failure`` and ends the answer.
    """

    def __init__(self, start: Start, encoder: ChunkEncoder, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status_code=200, media_type=encoder.media_type)
        self._start = start
        self._encoder = encoder
        self._extra = _raw({"content-type": encoder.media_type, "cache-control": "no-cache", **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outlet = cast("Outlet | None", (scope.get("extensions") or {}).get(OUTLET))
        await _while_connected(receive, self._answer(send, outlet))

    async def _answer(self, send: Send, outlet: Outlet | None) -> None:
        streams: Sequence[TokenStream] = ()
        try:
            streams = await self._start()
            keep_alive = KeepAlive(outlet if self._encoder.media_type.startswith(EVENTS) else None)
            single = len(streams) == 1
            source = SingleStream(streams[0], self._encoder, outlet, keep_alive) if single else MergedStreams(streams)
            await self._send(source, send, keep_alive)
        finally:
            await asyncio.shield(_close(streams))

    async def _send(self, source: SingleStream | MergedStreams, send: Send, keep_alive: KeepAlive) -> None:
        encoder = self._encoder
        body = b""
        while not body:
            index, chunks = await source.next()
            if not chunks:
                break
            body = encoder.chunks(index, chunks)
        await send({"type": "http.response.start", "status": 200, "headers": self._extra})
        source.begun = True
        try:
            with keep_alive:
                while chunks:
                    if body:
                        keep_alive.written = True
                        await send({"type": "http.response.body", "body": body, "more_body": True})
                    index, chunks = await source.next()
                    body = encoder.chunks(index, chunks) if chunks else b""
            tail = encoder.end()
        except GatewayError as error:
            tail = encoder.failure(error)
        except Exception as error:  # noqa: BLE001 - the status line is out: the client must still get it in-band
            tail = encoder.failure(GatewayError(f"internal error: {type(error).__name__}"))
        await send({"type": "http.response.body", "body": tail, "more_body": False})


class WholeResponse(ASGIResponse):
    """An answer in one piece. ``work`` makes its body and is cancelled when the client leaves."""

    def __init__(
        self,
        work: Callable[[], Awaitable[bytes]],
        media_type: str = "application/json",
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status_code=status_code, media_type=media_type)
        self._work = work
        self._extra = _raw({"content-type": media_type, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _while_connected(receive, self._answer(send))

    async def _answer(self, send: Send) -> None:
        body = await self._work()
        head = [*self._extra, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": self.status_code, "headers": head})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class PieceResponse(ASGIResponse):
    """An answer in pieces that are no tokens (progress lines). The status line leaves with the first piece."""

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], media_type: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status_code=200, media_type=media_type)
        self._pieces = pieces
        self._extra = _raw({"content-type": media_type, "cache-control": "no-cache", **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _while_connected(receive, self._answer(send))

    async def _answer(self, send: Send) -> None:
        try:
            first = await anext(self._pieces, b"")
            await send({"type": "http.response.start", "status": 200, "headers": self._extra})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in self._pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await asyncio.shield(self._pieces.aclose())


async def _while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` to its end, or until the client leaves. The request's body must have been read.

    It gets a task of its own: a token then wakes the few frames of ``work``, and not those of every layer around it.
    """
    here = asyncio.current_task()
    assert here is not None  # noqa: S101 - ASGI applications run in tasks
    task = asyncio.create_task(work)
    waiting, woken = True, False

    def wake(_: asyncio.Task[None]) -> None:
        nonlocal woken
        if waiting:
            woken = True
            here.cancel()

    task.add_done_callback(wake)
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except asyncio.CancelledError:
        if not woken or here.uncancel():
            task.cancel()
            await asyncio.wait((task,))
            raise
    finally:
        waiting = False
    left = task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        if not left or here.cancelling():
            raise


async def _close(streams: Sequence[TokenStream]) -> None:
    for stream in streams:
        await stream.aclose()


def tools_left_out(types: Iterable[str]) -> dict[str, str]:
    """Return the header that names ``types`` of tools which the model is not shown: each once, and 16 at most."""
    plain = dict.fromkeys(filter(_TYPE.fullmatch, types))
    return {TOOLS_LEFT_OUT: ", ".join(islice(plain, _MOST_LEFT_OUT))} if plain else {}


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


__all__ = ("PieceResponse", "TokenResponse", "WholeResponse", "tools_left_out")
