"""Answers that cost work: begun only while the client is there, sent as they come, given up when it leaves."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from hyperllama.errors import GatewayError
from hyperllama.generation import TokenChunk
from hyperllama.identity import Caller, Principal
from hyperllama.observability.request_record import current_request
from hyperllama.server.outlet import OUTLET, Outlet
from hyperllama.spi import ChunkEncoder, Gateway
from hyperllama.stream import TokenStream

#: How a route handler asks Litestar for the gateway.
InjectedGateway: TypeAlias = NamedDependency[SkipValidation[Gateway]]
#: The request type of every handler.
GatewayRequest: TypeAlias = Request[Principal, None, State]

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*(\d{1,6})\b")

EVENTS = "text/event-stream"
COMMENT = b": keep-alive\n\n"

Start: TypeAlias = Callable[[], Awaitable[Sequence[TokenStream]]]


def caller(request: Request[Any, Any, Any], protocol: str) -> Caller:
    """Who sent ``request``, for the core. Only behind the authentication middleware."""
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
    """Seconds of ``Prefer: wait=<seconds>`` (RFC 7240); without it, as long as it takes."""
    found = _WAIT.search(prefer) if prefer else None
    return float(found.group(1)) if found else math.inf


def request_id(scope: Scope) -> str:
    """The id that the answer carries as ``x-request-id``."""
    return cast(str, scope["state"]["request_id"])


def current_request_id() -> str:
    """The same for what has no request at hand, as an error's reply; empty outside one."""
    record = current_request.get()
    return record.request_id if record is not None else ""


class TokenResponse(ASGIResponse):
    """Generations, sent while they are made.

    ``start`` admits them; it runs here, not in the handler, so that a client that leaves while queued or while the
    model loads cancels that too. The status line leaves with the first chunk: whatever raises before goes to the
    route's exception handlers, whatever raises after is spelled by ``encoder.failure`` and ends the answer.
    """

    def __init__(self, start: Start, encoder: ChunkEncoder, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status_code=200, media_type=encoder.media_type)
        self._start = start
        self._encoder = encoder
        self._extra = _raw({"content-type": encoder.media_type, "cache-control": "no-cache", **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outlet = cast("Outlet | None", (scope.get("extensions") or {}).get(OUTLET))
        await _while_there(receive, self._answer(send, outlet))

    async def _answer(self, send: Send, outlet: Outlet | None) -> None:
        streams: Sequence[TokenStream] = ()
        try:
            streams = await self._start()
            silence = _Silence(outlet if self._encoder.media_type.startswith(EVENTS) else None)
            alone = len(streams) == 1
            source = _Alone(streams[0], self._encoder, outlet, silence) if alone else _Merged(streams)
            await self._send(source, send, silence)
        finally:
            await asyncio.shield(_close(streams))

    async def _send(self, source: _Alone | _Merged, send: Send, silence: _Silence) -> None:
        encoder = self._encoder
        index, chunks = await source.next()
        await send({"type": "http.response.start", "status": 200, "headers": self._extra})
        try:
            with silence:
                while chunks:
                    if body := encoder.chunks(index, chunks):
                        silence.broken = True
                        await send({"type": "http.response.body", "body": body, "more_body": True})
                    index, chunks = await source.next()
            tail = encoder.end()
        except GatewayError as error:
            tail = encoder.failure(error)
        except Exception as error:  # noqa: BLE001 - the status line is out: the client must still be told in-band
            tail = encoder.failure(GatewayError(f"internal error: {type(error).__name__}"))
        await send({"type": "http.response.body", "body": tail, "more_body": False})


class WholeResponse(ASGIResponse):
    """An answer in one piece; ``work`` makes its body and is cancelled when the client leaves."""

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
        await _while_there(receive, self._answer(send))

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
        await _while_there(receive, self._answer(send))

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


async def _while_there(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` to its end, or until the client leaves. The body must be read before.

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


class _Silence:
    """While an engine is silent, comments keep its event stream alive: proxies and clients end what says nothing.

    One timer a stream, which a token does not touch: a comment comes after one to two times ``keep_alive``.
    """

    def __init__(self, outlet: Outlet | None) -> None:
        self.broken = True  # something was written since the last look
        self._outlet = outlet
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if self._outlet is not None and self._outlet.keep_alive:
            self._timer = asyncio.get_running_loop().call_later(self._outlet.keep_alive, self._look, self._outlet)

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, outlet: Outlet) -> None:
        if not (self.broken or outlet.lags):
            outlet.write_piece(COMMENT)
        self.broken = False
        self._timer = asyncio.get_running_loop().call_later(outlet.keep_alive, self._look, outlet)


class _Alone:
    """One stream. Once its answer has begun, chunks go from the engine to the socket without waking a task."""

    def __init__(self, stream: TokenStream, encoder: ChunkEncoder, outlet: Outlet | None, silence: _Silence) -> None:
        self._stream = stream
        self._encoder = encoder
        self._outlet = outlet
        self._silence = silence
        self._begun = False

    async def next(self) -> tuple[int, Sequence[TokenChunk]]:
        if self._begun and self._outlet is not None:
            return 0, await self._stream.relay(partial(self._take, self._outlet))
        self._begun = True
        return 0, await self._stream.batch()

    def _take(self, outlet: Outlet, chunks: Sequence[TokenChunk]) -> bool:
        if outlet.lags:
            return False
        if body := self._encoder.chunks(0, chunks):
            self._silence.broken = True
            outlet.write_piece(body)
        return True


class _Merged:
    """Several streams read as one, whichever is ready first. Ends when all have."""

    def __init__(self, streams: Sequence[TokenStream]) -> None:
        self._streams = streams
        self._reads: dict[asyncio.Future[Sequence[TokenChunk]], int] = {}
        self._begun = False

    async def next(self) -> tuple[int, Sequence[TokenChunk]]:
        if not self._begun:
            self._begun = True
            for index in range(len(self._streams)):
                self._read(index)
        try:
            while self._reads:
                done, _ = await asyncio.wait(self._reads, return_when=asyncio.FIRST_COMPLETED)
                read = min(done, key=self._reads.__getitem__)
                index = self._reads.pop(read)
                if chunks := read.result():
                    self._read(index)
                    return index, chunks
        except BaseException:
            for read in self._reads:
                read.cancel()
            raise
        return 0, ()

    def _read(self, index: int) -> None:
        self._reads[asyncio.ensure_future(self._streams[index].batch())] = index


async def _close(streams: Sequence[TokenStream]) -> None:
    for stream in streams:
        await stream.aclose()


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


__all__ = (
    "GatewayRequest",
    "InjectedGateway",
    "PieceResponse",
    "TokenResponse",
    "WholeResponse",
    "caller",
    "current_request_id",
    "request_id",
)
