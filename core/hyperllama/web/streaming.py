"""Answers that cost work: begun only while the client is there, sent as they come, given up when it leaves."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
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
from hyperllama.spi import ChunkEncoder, Gateway
from hyperllama.stream import TokenStream

#: How a route handler asks Litestar for the gateway.
InjectedGateway: TypeAlias = NamedDependency[SkipValidation[Gateway]]
#: The request type of every handler.
GatewayRequest: TypeAlias = Request[Principal, None, State]

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*(\d{1,6})\b")

Start: TypeAlias = Callable[[], Awaitable[Sequence[TokenStream]]]


def caller(request: Request[Any, Any, Any], protocol: str) -> Caller:
    """Who sent ``request``, for the core. Only behind the authentication middleware."""
    scope = request.scope
    return Caller(
        protocol=protocol,
        principal=scope["user"],
        request_id=request_id(scope),
        headers=scope["state"].get("headers", {}),
        patience=_patience(request.headers.get("prefer")),
    )


def _patience(prefer: str | None) -> float:
    """Seconds of ``Prefer: wait=<seconds>`` (RFC 7240); without it, as long as it takes."""
    found = _WAIT.search(prefer) if prefer else None
    return float(found.group(1)) if found else math.inf


def request_id(scope: Scope) -> str:
    """The id that the answer carries as ``x-request-id``."""
    return cast(str, scope["state"]["request_id"])


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
        streams: Sequence[TokenStream] = ()
        async with _WhileThere(receive):
            try:
                streams = await self._start()
                await self._send(streams[0] if len(streams) == 1 else _Merged(streams), send)
            finally:
                await asyncio.shield(_close(streams))

    async def _send(self, source: TokenStream | _Merged, send: Send) -> None:
        encoder = self._encoder
        single = isinstance(source, TokenStream)
        index, chunks = (0, await source.batch()) if single else await source.next()  # type: ignore[union-attr]
        await send({"type": "http.response.start", "status": 200, "headers": self._extra})
        try:
            while chunks:
                if body := encoder.chunks(index, chunks):
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                if single:
                    chunks = await source.batch()  # type: ignore[union-attr]
                else:
                    index, chunks = await source.next()  # type: ignore[union-attr]
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
        async with _WhileThere(receive):
            body = await self._work()
            head = [*self._extra, (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": self.status_code, "headers": head})
            await send({"type": "http.response.body", "body": body, "more_body": False})


class PieceResponse(ASGIResponse):
    """An answer in pieces that are no tokens (progress lines). The status line leaves with the first piece."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], media_type: str) -> None:
        super().__init__(status_code=200, media_type=media_type)
        self._pieces = pieces
        self._extra = _raw({"content-type": media_type, "cache-control": "no-cache"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with _WhileThere(receive):
            try:
                first = await anext(self._pieces, b"")
                await send({"type": "http.response.start", "status": 200, "headers": self._extra})
                await send({"type": "http.response.body", "body": first, "more_body": True})
                async for piece in self._pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                await asyncio.shield(self._pieces.aclose())


class _WhileThere:
    """Cancels its block when the client leaves, and then swallows that cancellation. The body must be read before."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - ASGI applications run in tasks
        self._task: asyncio.Task[Any] | None = task
        self._watch = asyncio.create_task(self._gone())
        self._watch.add_done_callback(self._cancel)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        self._watch.cancel()
        if self._left and task is not None:
            task.uncancel()
            return kind is asyncio.CancelledError
        return False

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _cancel(self, watch: asyncio.Task[None]) -> None:
        if self._task is not None and not watch.cancelled():
            self._left = True
            self._task.cancel()


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
    "request_id",
)
