"""A served application on a free loopback port, in a thread of its own, and raw sockets to talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import pytest
import uvloop

from hyperllama.config import Config, Server
from hyperllama.errors import GatewayError
from hyperllama.generation import TokenChunk
from hyperllama.server.bounds import Bounds
from hyperllama.server.guard import Guard
from hyperllama.server.server import serve
from hyperllama.server.shutdown import Shutdown
from hyperllama.stream import ChunkQueue, TokenStream
from hyperllama.web.answers import TokenResponse

TOKENS = 20_000  # of an answer at /tokens: more than the kernel holds for a reader that takes nothing
PATIENCE = 5.0  # seconds until a test gives up waiting; none asserts on time

Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]


class App:
    """Notes what reaches it. The path says how it answers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.left = threading.Event()  # a client went away from /wait or /flood
        self.entered = threading.Event()
        self.sent = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        path = scope["path"]
        if path == "/unread":
            self.seen.append((scope["method"], path, b""))
            await answer(send, 401, b"unread")
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
            body += message["body"]
            more = message["more_body"]
        self.seen.append((scope["method"], path, body))
        self.headers.append(scope["headers"])
        self.entered.set()
        if path == "/wait":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
        elif path == "/flood":
            await self._flood(receive, send)
        elif path == "/tokens":
            await TokenResponse(self._tokens, Numbers())(scope, receive, send)  # type: ignore[arg-type]
        else:
            await answer(send, 200, b"%d" % len(body))

    async def _tokens(self) -> Sequence[TokenStream]:
        """The numbers from 0 to TOKENS, one a turn of the loop, whether they are read or not."""
        queue = ChunkQueue()
        loop = asyncio.get_running_loop()

        def step(number: int) -> None:
            last = number == TOKENS
            queue.put(TokenChunk(text=f"{number:063} ", finish_reason="stop" if last else None))
            self.sent = number
            if not last:
                loop.call_soon(step, number + 1)

        step(0)
        return (TokenStream(queue),)

    async def _flood(self, receive: Receive, send: Send) -> None:
        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        watch = asyncio.ensure_future(gone())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not watch.done():
            await send({"type": "http.response.body", "body": b"x" * 16384, "more_body": True})
            self.sent += 16384
            await asyncio.sleep(0)
        self.left.set()


class Numbers:
    """``ChunkEncoder`` of bare text."""

    media_type = "text/plain"

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        return "".join(chunk.text for chunk in chunks).encode()

    def end(self) -> bytes:
        return b"end"

    def failure(self, error: GatewayError) -> bytes:
        return b"failure"


async def answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Served:
    """The server in its thread."""

    def __init__(self, bounds: Bounds, *, drain_timeout: float = 1.0) -> None:
        self.app = App()
        self.drain = Shutdown()
        self.guard = Guard(bounds)
        self.port = 0
        self.error: BaseException | None = None
        self._listening = threading.Event()
        self._loop = uvloop.new_event_loop()
        self._config = Config(server=Server(port=0, drain_timeout=drain_timeout))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._listening.wait(PATIENCE)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        def listening(_: str, port: int) -> None:
            self.port = port
            self._listening.set()

        try:
            self._loop.run_until_complete(
                serve(self.app, self._config, on_listening=listening, drain=self.drain, guard=self.guard)  # type: ignore[arg-type]
            )
        except BaseException as error:  # noqa: BLE001 - for the test's thread to raise
            self.error = error
        finally:
            self._listening.set()
            self._loop.close()

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.drain.begin)
        self._thread.join(PATIENCE * 2)
        assert not self._thread.is_alive()

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        one = socket.socket()
        if receive_buffer is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.settimeout(PATIENCE)
        one.connect(("127.0.0.1", self.port))
        return one

    def ask(self, sent: bytes) -> bytes:
        """Everything that comes back until the server ends the connection."""
        with self.connect() as one:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                one.sendall(sent)
            return until_end(one)

    def on_loop(self, call: Callable[[], Any]) -> None:
        """Run ``call`` on the server's loop, and wait for it."""
        done = threading.Event()

        def run() -> None:
            call()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(PATIENCE)


def until_end(one: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := one.recv(65536):
            got += piece
    return got


def one_answer(one: socket.socket, got: bytes = b"") -> tuple[bytes, bytes]:
    """One answer with a Content-Length, and what came after it."""
    while b"\r\n\r\n" not in got:
        piece = one.recv(65536)
        assert piece, got
        got += piece
    head, _, rest = got.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None, head
    while len(rest) < int(length.group(1)):
        rest += one.recv(65536)
    size = int(length.group(1))
    return head + b"\r\n\r\n" + rest[:size], rest[size:]


def statuses(got: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]


@pytest.fixture
def serving() -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(*, drain_timeout: float = 1.0, **bounds: Any) -> Served:
        running.append(Served(Bounds(**bounds), drain_timeout=drain_timeout))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def served(serving: Callable[..., Served]) -> Served:
    return serving()


@pytest.fixture
def wire() -> Generator[Any, None, None]:
    """The helpers above, for tests: this folder is no package."""

    class Wire:
        until_end = staticmethod(until_end)
        one_answer = staticmethod(one_answer)
        statuses = staticmethod(statuses)

    yield Wire
