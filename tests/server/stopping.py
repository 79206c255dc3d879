"""Run as a program: a served application whose requests take their time. Prints its port. Not a test."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn
import uvloop

from hyperllama.config import Config, Server
from hyperllama.server import server
from hyperllama.server.shutdown import Shutdown


class App:
    def __init__(self, drain: Shutdown) -> None:
        self._drain = drain
        self.aborted = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print("lifespan over", flush=True)
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive())["more_body"]:
            pass
        path = scope["path"]
        if path == "/health":
            await _answer(send, 503 if self._drain.draining else 200)
        elif self._drain.draining:
            await _answer(send, 503)
        elif path == "/stream":
            await self._stream(send, int(scope["query_string"]))
        elif path == "/flood":
            await _start(send)
            while True:
                await _body(send, b"x" * 65536, more=True)
        elif path == "/stubborn":
            await _start(send)
            while True:
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    continue
        else:
            await _answer(send, 200)

    async def _stream(self, send: Any, pieces: int) -> None:
        await _start(send)
        for number in range(pieces):
            try:
                async with asyncio.timeout(0.02):
                    await self.aborted.wait()
            except TimeoutError:
                await _body(send, b"%d\n" % number, more=True)
            else:
                await _body(send, b'{"error":"stopping"}\n', more=False)
                return
        await _body(send, b"end\n", more=False)


async def _start(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await _body(send, b"begin\n", more=True)


async def _body(send: Any, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _answer(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await _body(send, b"", more=False)


async def guarded(drain_timeout: float) -> None:
    drain = Shutdown(on_begin=lambda: print("draining", flush=True))
    app = App(drain)
    await server.serve(
        app,  # type: ignore[arg-type]
        Config(server=Server(port=0, drain_timeout=drain_timeout)),
        on_listening=lambda _, port: print(port, flush=True),
        drain=drain,
        abort=app.aborted.set,
        on_reload=lambda: print("reload", flush=True),
    )


async def unguarded() -> None:
    """Plain uvicorn, to show that the tests of the guard can fail."""
    (one,) = server.bind("127.0.0.1", 0)
    one.listen()
    print(one.getsockname()[1], flush=True)
    settings = uvicorn.Config(App(Shutdown()), http="httptools", log_config=None, access_log=False)
    await uvicorn.Server(settings).serve(sockets=[one])


if __name__ == "__main__":
    if len(sys.argv) > 2:
        server.STOP_GRACE = float(sys.argv[2])
        server.ABORT_GRACE = server.CANCEL_GRACE = float(sys.argv[2]) / 10
    uvloop.run(unguarded() if sys.argv[1] == "unguarded" else guarded(float(sys.argv[1])))
