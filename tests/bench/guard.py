"""What the guard costs a request: the same bytes through uvicorn's protocol and through ours, turn about.

No sockets: a transport that swallows, so that the difference is the protocol's alone.
Run: ``python tests/bench/guard.py [requests]``. Prints CPU microseconds a request, of the fastest round each.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
import time
from typing import Any, cast

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hyperllama.server.bounds import Bounds
from hyperllama.server.guard import Guard
from hyperllama.server.protocol import GuardedProtocol

ROUNDS = 40
HEADERS = (
    b"Host: 127.0.0.1:11434\r\nConnection: keep-alive\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\n"
    b"User-Agent: OpenAI/Python 2.8.0\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.8.0\r\n"
    b"X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\n"
    b"X-Stainless-Runtime-Version: 3.11.7\r\nAuthorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n"
    b"X-Stainless-Async: false\r\nX-Stainless-Retry-Count: 0\r\nX-Stainless-Read-Timeout: 600\r\n"
)
CHAT = b'{"model":"m","messages":[{"role":"user","content":"' + b"hello " * 100 + b'"}],"stream":true}'
REQUESTS = {
    "GET, curl's headers": (
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:11434\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
    ),
    "POST, openai's headers": (
        b"POST /v1/chat/completions HTTP/1.1\r\n" + HEADERS
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(CHAT) + CHAT
    ),
    "POST, chunked": (
        b"POST /v1/chat/completions HTTP/1.1\r\n" + HEADERS
        + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n" % len(CHAT) + CHAT + b"\r\n0\r\n\r\n"
    ),
}  # fmt: skip


class _Transport:
    """Takes everything at once."""

    def get_extra_info(self, name: str) -> object:
        return None

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def _time(protocol: asyncio.Protocol, request: bytes, count: int, state: ServerState) -> float:
    began = time.process_time_ns()
    for _ in range(count):
        protocol.data_received(request)
        await asyncio.sleep(0)
    took = time.process_time_ns() - began
    assert state.total_requests >= count
    return took / count / 1000


async def main(count: int) -> None:
    settings = uvicorn.Config(_app, http="httptools", log_config=None, access_log=False, interface="asgi3")
    settings.load()
    guard = Guard(Bounds())
    guard.start(asyncio.get_running_loop())
    make = {
        "uvicorn": functools.partial(HttpToolsProtocol, settings),
        "guarded": functools.partial(GuardedProtocol, settings, guard=guard),
    }
    for name, request in REQUESTS.items():
        rounds: dict[str, list[float]] = {which: [] for which in make}
        for _ in range(ROUNDS):
            for which, protocol_class in make.items():
                state = ServerState()
                protocol = cast("Any", protocol_class)(server_state=state, app_state={})
                protocol.connection_made(cast("asyncio.Transport", _Transport()))
                await _time(protocol, request, count // 10, state)
                gc.collect()
                state.total_requests = 0
                rounds[which].append(await _time(protocol, request, count, state))
                protocol.connection_lost(ConnectionError())
        plain, ours = (min(rounds[which]) for which in make)
        print(f"{name:24} uvicorn {plain:6.2f} us   guarded {ours:6.2f} us   difference {ours - plain:+5.2f} us")
    guard.stop()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
