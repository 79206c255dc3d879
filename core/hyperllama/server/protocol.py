"""One connection: uvicorn's httptools protocol, fed one checked request at a time and never kept waiting for ever.

The contract with uvicorn, whose internals these are; ``server.py`` uses the last line of it. The upper bound in
pyproject.toml is the newest version for which tests/server/test_uvicorn_contract.py holds.

- attributes that HttpToolsProtocol sets: ``app``, ``client``, ``cycle``, ``expect_100_continue``, ``flow``,
  ``headers``, ``loop``, ``parser``, ``scope``, ``server_state``, ``transport``, ``url``
- methods that are extended, with ``super()`` called: ``connection_made``, ``connection_lost``, ``on_headers_complete``,
  ``on_message_complete``; and replaced: ``data_received``, ``eof_received``, ``on_response_complete``
- of ``cycle``: ``chunked_encoding``, ``disconnected``, ``expected_content_length``, ``keep_alive``, ``message_event``,
  ``response_complete``, ``response_started``, ``waiting_for_100_continue``
- of ``flow``: ``read_paused``, ``write_paused``, ``resume_reading``, ``resume_writing``
- ``STATUS_LINE`` by status; of ``server_state``: ``default_headers``, ``total_requests``, ``connections``, ``tasks``
- of Server: ``capture_signals``, ``main_loop``, ``on_tick``, ``shutdown``, ``servers``, ``lifespan``, ``started``
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from typing import TYPE_CHECKING, Any, Final, cast

import httptools
from litestar.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from hyperllama.server.framing import Chunks, RefusedError, body_of, check_line, check_partial, without_upgrade
from hyperllama.server.guard import Guard, network_of
from hyperllama.server.old_clients import OldClient
from hyperllama.server.outlet import OUTLET
from hyperllama.server.pace import Pace
from hyperllama.server.request_id import new_request_id
from hyperllama.server.target import target_of, with_host

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

HELD_BYTES = 64 * 1024  # of later requests, taken from the socket while one is answered
PIECE_BYTES = 16 * 1024  # of those, looked at when its turn comes

_IDLE: Final = -1.0  # a deadline that the next check sets

_HEAD: Final = 0  # a request may begin, or has begun
_BODY: Final = 1  # its body comes
_ANSWER: Final = 2  # it is here whole; nothing more is read from the wire until it is answered
_OVER: Final = 3  # refused; what comes is thrown away until the peer or the clock ends it


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with framing checked first: bytes reach the parser once the end of their request is known.

    Parser and ``framing`` must agree on that end, or the connection is refused. A request is parsed only after the
    answer to the one before it, so a refusal can never cut off another answer.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        guard: Guard,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._guard = guard
        self._bounds = guard.bounds
        self._state: int = _OVER  # until admitted
        self._reserved = False
        self._deadline = math.inf
        self._partial = bytearray()  # of a head
        self._held = bytearray()  # of later requests
        self._path = ""  # of the request under way, once its head is there
        self._minor = 1  # HTTP/1.x
        self._heads = 0  # that the parser found in what it was fed as one
        self._offered = False  # the head has an Upgrade that the parser believes
        self._verdict: RefusedError | None = None
        self._ended = False  # it has seen the request's end
        self._left = 0  # bytes to come of a body with a length
        self._here = 0  # bytes that came in one piece with the head's end
        self._chunks: Chunks | None = None
        self._received = 0  # bytes of the body
        self._limited = True  # the body has a limit
        self._pace: Pace | None = None  # of the body
        self._pending = 0  # bytes that the reader had not taken at the last check
        self._moved = 0.0  # when it last took some
        self._network = ""
        self._context = contextvars.copy_context()  # not that of the request before

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=self._bounds.write_buffer)
        self._network = network_of(self.client[0]) if self.client else ""
        admission = self._guard.enter(self, self._network)
        if admission in ("open", "reserved"):
            self._state = _HEAD
            self._reserved = admission == "reserved"
            bounds = self._bounds
            wait = min(bounds.header_timeout, bounds.reserve_timeout) if self._reserved else bounds.header_timeout
            self._deadline = self.loop.time() + wait
        else:
            why = "too many connections" if admission == "full" else "too many connections from this address"
            transport.write(self._refusal(503, why))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.leave(self, self._network)
        self._state = _OVER
        self._held.clear()
        self._partial.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._state == _OVER:
            self._received += len(data)
            if self._received > self._bounds.body_bytes:
                self.transport.abort()
            return
        used = 0 if self._held else self._advance(data)
        if used < len(data) and self._state != _OVER:
            self._held += data[used:] if used else data
            if len(self._held) > HELD_BYTES:
                self.transport.pause_reading()

    def eof_received(self) -> None:
        """Close a half-closed connection; the application receives a disconnect."""

    def on_headers_complete(self) -> None:
        self._heads += 1
        if self.parser.should_upgrade():
            self._offered = True
            raise RefusedError(400, "no other protocol is offered here")
        try:
            self._judge()
        except RefusedError as error:
            self._verdict = error
            raise
        if self._minor:
            super().on_headers_complete()
        else:
            self._begin_old()
        self.scope["extensions"] = {OUTLET: self}  # type: ignore[dict-item]

    def _begin_old(self) -> None:
        """Begin an exchange in HTTP/1.0: it stays open only if the client says so, and knows no 100."""
        self.expect_100_continue = False
        app = self.app
        self.app = cast("ASGI3Application", OldClient(cast(ASGIApp, app), lambda: self.cycle))
        super().on_headers_complete()
        self.app = app
        self.cycle.keep_alive = self.parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self._ended = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        transport = self.transport
        if transport.is_closing():
            return
        self.flow.resume_reading()
        if self._state == _BODY:
            if self.expect_100_continue and self._received == 0:
                transport.close()  # whether the body still comes is the client's choice: the next byte has two meanings
            return
        if self._state != _ANSWER:
            return
        self._state = _HEAD
        self._deadline = _IDLE
        if self._held:
            self.loop.call_soon(self._resume, context=self._context)

    @property
    def lags(self) -> bool:
        return self.flow.write_paused or not self.cycle.chunked_encoding

    @property
    def keep_alive(self) -> float:
        return self._bounds.sse_keep_alive

    def write_piece(self, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))

    def check(self, now: float) -> None:
        transport = self.transport
        pending = transport.get_write_buffer_size()
        if pending:
            if self._pending == 0 or pending < self._pending:
                self._moved = now
            elif now - self._moved >= self._bounds.stall_timeout:
                self._guard.refused["stalled"] += 1
                transport.abort()
                return
        self._pending = pending
        if self._state == _BODY and not (self.flow.read_paused or self.cycle.waiting_for_100_continue):
            if self._pace is not None and self._pace.too_slow(now, self._received):
                self._time_out("the request body came too slowly")
        elif self._state == _BODY and self._pace is not None:
            self._pace.wait(now, self._received)
        elif self._deadline == _IDLE:
            self._deadline = now + self._bounds.idle_timeout
        elif now >= self._deadline and not transport.is_closing():
            if self._state == _HEAD and self._partial:
                self._time_out("the request head came too slowly")
            else:
                transport.abort() if self._state == _OVER else transport.close()

    def close_when_answered(self) -> None:
        """Make the answer under way, if any, the last of this connection: the gateway is stopping."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def _resume(self) -> None:
        held = self._held
        while held and self._state in (_HEAD, _BODY) and not self.transport.is_closing():
            used = self._advance(bytes(held[:PIECE_BYTES]))
            del held[:used]
        if len(held) <= HELD_BYTES and not (self.flow.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    def _advance(self, data: bytes) -> int:
        """Parse ``data`` up to the end of the request under way; return the number of bytes used."""
        used = 0
        try:
            while used < len(data):
                if self._state == _HEAD:
                    used += self._take_head(data[used:] if used else data)
                elif self._state == _BODY:
                    used += self._take_body(data[used:] if used else data)
                else:
                    break
        except RefusedError as refused:
            self._refuse(refused.status, refused.message)
            return len(data)
        return used

    def _take_head(self, data: bytes) -> int:
        partial = self._partial
        before = len(partial)
        if before:
            partial += data
            end = partial.find(b"\r\n\r\n", max(0, before - 3))
        else:
            end = data.find(b"\r\n\r\n")
        if end < 0:
            if not before:
                partial += data
                due = self.loop.time() + self._bounds.header_timeout
                self._deadline = due if self._deadline == _IDLE else min(self._deadline, due)
            check_partial(partial, self._bounds)
            return len(data)
        end += 4
        if before:
            data = bytes(partial)
            partial.clear()
        self._path = ""
        self.cycle = None  # type: ignore[assignment]  # a refusal from here on is no answer to the request before
        size = len(data)
        self._here = size - end
        head = data if end == size else data[:end]
        if head.startswith(b"\r\n"):  # some clients end a body so
            head = head[2:]
        self._minor = check_line(head, self._bounds)
        self._heads = 0
        self._ended = False
        self._feed(head)
        if self._offered:
            self._feed_again(head)
        if self._heads != 1:
            raise RefusedError(400, "the request head is malformed")
        if self._state == _ANSWER and self._left:
            whole = end + self._left
            self._feed(data[end:] if whole == size else data[end:whole])
            end = whole
        if self._ended != (self._state == _ANSWER):
            raise RefusedError(400, "the request is malformed")
        if self._guard.closing:
            self.cycle.keep_alive = False
            self.headers.append((b"connection", b"close"))  # uvicorn up to 0.46 says close only if the client did
        return end - before

    def _feed_again(self, head: bytes) -> None:
        """Feed ``head`` to a new parser, without the Upgrade that the old one stopped at."""
        self._offered = False
        self._heads = 0
        self.parser = httptools.HttpRequestParser(self)
        self._path = target_of(self.url, head.startswith(b"OPTIONS ")).path  # a refusal is in its dialect
        self._feed(without_upgrade(head, self.headers))
        if self._offered:
            raise RefusedError(400, "no other protocol is offered here")

    def _judge(self) -> None:
        target = target_of(self.url, self.parser.get_method() == b"OPTIONS")
        path = self._path = target.path
        length, chunked, limit = body_of(path, self._minor, self.headers, self._bounds)
        self.url = target.sent  # from here on nothing sees another spelling of it
        if target.authority is not None:
            self.headers[:] = with_host(self.headers, target)
        if self._reserved and path not in self._bounds.always:
            raise RefusedError(503, "too many connections; try again in a moment")
        self._deadline = math.inf
        self._left = length
        if not chunked and length <= self._here:
            self._state = _ANSWER
            return
        self._state = _BODY
        self._received = 0
        self._limited = limit is not None
        self._chunks = Chunks(self._bounds, limit) if chunked else None
        self._pace = Pace(self._bounds, self.loop.time(), limited=self._limited)

    def _take_body(self, data: bytes) -> int:
        size = len(data)
        if self._chunks is None:
            taken = min(size, self._left)
            self._left -= taken
            done = self._left == 0
        else:
            taken, done = self._chunks.end(data, 0)
        self._received += taken
        self._feed(data if taken == size else data[:taken])
        if self._ended != done:
            raise RefusedError(400, "the request body is malformed")
        answered = self.cycle.response_complete
        if done:
            self._chunks = None
            self._deadline = _IDLE if answered else math.inf
            self._state = _HEAD if answered else _ANSWER
        elif answered and not self._limited and self._received > self._bounds.body_bytes:
            raise RefusedError(413, "the answer is complete; the rest of the body is not read")
        return taken

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
            if self._offered:  # to speak another protocol after this request: the parser would take its body for that
                return
            raise self._verdict or RefusedError(400, "the request is not valid HTTP/1.1") from error

    def _time_out(self, message: str) -> None:
        self._guard.refused["timeout"] += 1
        self._refuse(408, message)

    def _refuse(self, status: int, message: str) -> None:
        """Answer with an error, if no answer has begun, and end the connection. The application sees a disconnect."""
        idle, self._state = self._state == _HEAD, _OVER
        self._partial.clear()
        self._held.clear()
        self._guard.refused[str(status)] += 1
        transport, cycle = self.transport, self.cycle
        if transport.is_closing():
            return
        if cycle is not None and not (idle and cycle.response_complete):
            cycle.disconnected = True
            cycle.message_event.set()
            self.flow.resume_writing()
            if cycle.response_started:
                transport.close() if cycle.response_complete else transport.abort()
                return
        transport.write(self._refusal(status, message))
        self.flow.resume_reading()
        if not transport.can_write_eof():
            transport.close()
            return
        # A close with unread data becomes a reset, which may overtake the answer: end our half, and read on a little.
        transport.write_eof()
        self._received = 0
        self._deadline = self.loop.time() + self._bounds.linger

    def _refusal(self, status: int, message: str) -> bytes:
        body, media_type = self._bounds.spell(self._path, status, message)
        parts = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(f"x-request-id: {new_request_id()}\r\ncontent-type: {media_type}\r\n".encode("latin-1"))
        if status == 426:  # clients that see it go on without WebSocket
            parts.append(b"upgrade: HTTP/1.1\r\n")
        if status == 503:
            parts.append(b"retry-after: 1\r\n")
        parts.append(b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body))
        parts.append(body)
        return b"".join(parts)


__all__ = ("GuardedProtocol",)
