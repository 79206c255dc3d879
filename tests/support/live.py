"""The whole gateway on a loopback port, served by a thread of this process, so that its rooms can be looked into."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from hyperllama.app.application import Application, create_app
from hyperllama.config import Config, load
from hyperllama.server.body_rules import declared_encodings, declared_limits
from hyperllama.server.bounds import Bounds
from hyperllama.server.guard import Guard
from hyperllama.server.loop_lag import LoopLag
from hyperllama.server.server import serve
from hyperllama.server.shutdown import Shutdown
from hyperllama.web.ops import ServerState

PATIENCE = 60.0
#: A model whose streams go on and on, for who must not notice.
SOUND = """
[models.sound]
engine = "sim"
[models.sound.options]
tokens_per_second = 100
answer_tokens = 100000
context_length = 1000000
"""
#: A model that answers as fast as it can, without end.
FAST = """
[models.fast]
engine = "sim"
max_batch_size = 256
[models.fast.options]
answer_tokens = 200000
context_length = 1000000
embedding = 8
"""
PLUGINS = '\n[plugins]\nenabled = ["sim", "openai", "ollama"]\n'


class Live:
    """``text`` is the configuration (TOML); the port is a free one and the store in ``folder``."""

    def __init__(self, text: str, folder: Path, *plugins: object, bounds: dict[str, Any] | None = None) -> None:
        path = folder / "config.toml"
        path.write_text(text if "[plugins]" in text else text + PLUGINS)
        environ = {"HYPERLLAMA_SERVER_PORT": "0", "HYPERLLAMA_STORE_PATH": str(folder / "store")}
        self.config: Config = load(path, environ)
        self.port = 0
        self.clients: list[socket.socket] = []  # closed at the end
        self.lag = LoopLag()
        self.drain: Shutdown
        self.app: Application
        self.guard: Guard
        self.error: BaseException | None = None
        self._bounds = bounds or {}
        self._plugins = plugins
        self._listening = threading.Event()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gateway")
        self._thread.start()
        assert self._listening.wait(PATIENCE)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - for the test's thread to raise
            self.error = error
        finally:
            self._listening.set()
            self._loop.close()

    async def _serve(self) -> None:
        app = self.app = create_app(self.config, *self._plugins)
        limits: dict[str, Any] = {
            "body_limit": declared_limits(app.web.litestar, self.config.server.max_body_bytes),
            "encodings": declared_encodings(app.web.litestar),
            "spell": app.web.format_refusal,
        }
        bounds = msgspec.structs.replace(Bounds.of(self.config.server, **limits), **self._bounds)
        self.guard = Guard(bounds)
        self.drain = Shutdown(on_begin=app.begin_shutdown)
        if app.generation.metrics is not None:
            app.generation.metrics.add(ServerState(self.guard, self.lag))

        def listening(_: str, port: int) -> None:
            self.port = port
            self.lag.start()
            self._listening.set()

        await serve(
            app,
            self.config,
            on_listening=listening,
            drain=self.drain,
            abort=app.pipeline.abort,
            guard=self.guard,
        )
        self.lag.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.drain.begin)
        for client in self.clients:
            client.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on_loop(self, call: Callable[[], Any]) -> Any:
        """What ``call`` returns on the gateway's loop."""

        async def run() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def until(self, what: Callable[[], Any], seconds: float = PATIENCE) -> float:
        """Seconds until ``what`` is true on the gateway's loop."""
        began = time.monotonic()
        while not self.on_loop(what):
            assert time.monotonic() - began < seconds, "it never came true"
            time.sleep(0.002)
        return time.monotonic() - began

    def engine(self, name: str) -> Any:
        """The engine's own object of a loaded model."""
        instance = self.app.catalog.find(name).instance
        return instance.model if instance is not None else None

    def batch(self, name: str) -> Any:
        """The sim engine's batch in this process."""
        return self.engine(name).batch

    def active(self, name: str) -> int:
        instance = self.app.catalog.find(name).instance
        return instance._active if instance is not None else 0

    def metrics(self) -> dict[str, float]:
        """Series and their values."""
        text = self.on_loop(self.app.generation.metrics.expose).decode()
        return {name: float(value) for name, value in re.findall(r"^([^#\s].*) (\S+)$", text, re.MULTILINE)}

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        self.clients.append(connect(self.port, receive_buffer=receive_buffer))
        return self.clients[-1]

    def post(self, path: str, body: object, *, method: str = "POST", **headers: str) -> socket.socket:
        """A connection on which that was asked and nothing read yet."""
        one = self.connect()
        one.sendall(asked(path, body, method=method, **headers))
        return one

    def ask(
        self, path: str, body: object, *, method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        with self.post(path, body, method=method, **headers) as one:
            return answer(one)

    def chat(self, model: str, content: str = "hi", **more: object) -> socket.socket:
        return self.post("/v1/chat/completions", chat(model, content, **more))


def connect(port: int, *, receive_buffer: int | None = None) -> socket.socket:
    one = socket.socket()
    if receive_buffer is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.settimeout(PATIENCE)
    one.connect(("127.0.0.1", port))
    return one


def chat(model: str, content: str = "hi", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": content}], "stream": True, **more}


def asked(path: str, body: object, *, method: str = "POST", **headers: str) -> bytes:
    """The bytes of a request. ``headers`` by name with underscores."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def leave(client: socket.socket, how: str) -> None:
    """By FIN (``close``) or by RST (``reset``)."""
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def until(client: socket.socket, mark: bytes) -> bytes:
    """What came, up to the piece with ``mark``. Fails when the connection ends before."""
    got = b""
    while mark not in got:
        piece = client.recv(65536)
        assert piece, got[-500:]
        got += piece
    return got


def whole(client: socket.socket, got: bytes = b"") -> bytes:
    """A chunked answer to its end."""
    while not got.endswith(b"0\r\n\r\n"):
        piece = client.recv(65536)
        assert piece, got[-500:]
        got += piece
    return got


def answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer with a Content-Length or in chunks."""
    got = until(client, b"\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    if "content-length" in headers:
        while len(body) < int(headers["content-length"]):
            piece = client.recv(65536)
            assert piece, (head, body)
            body += piece
    else:
        body = unchunked(whole(client, body))
    return int(lines[0].split()[1]), headers, body


def unchunked(raw: bytes) -> bytes:
    out = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        out, raw = out + raw[: int(size, 16)], raw[int(size, 16) + 2 :]
    return out


def events(body: bytes) -> list[Any]:
    """Data of an event stream, ``[DONE]`` as text."""
    found = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    return [text if text == "[DONE]" else json.loads(text) for text in found]


def text_of(found: list[Any]) -> str:
    return "".join(
        choice["delta"].get("content") or "" for event in found if "choices" in event for choice in event["choices"]
    )


def active_and_running(live: Live, model: str) -> tuple[int, int]:
    """Requests that hold the model, and generations under way."""
    return live.active(model), live.app.pipeline.live


def keys(**tables: str) -> str:
    """``[keys.static.<name>]`` for each, with the key ``<name>-secret`` and the lines given."""
    return "".join(
        f'\n[keys.static.{name}]\nhash = "sha256:{hashlib.sha256(f"{name}-secret".encode()).hexdigest()}"\n{lines}\n'
        for name, lines in tables.items()
    )


class Listener(threading.Thread):
    """Reads a long stream of the sound model and notes the gaps."""

    def __init__(self, live: Any) -> None:
        super().__init__()
        self._client = live.chat("sound")
        until(self._client, b"data: ")
        self._enough = threading.Event()
        self.gaps: list[float] = []
        self.broken = False
        self.start()

    def run(self) -> None:
        last = time.monotonic()
        while not self._enough.is_set():
            piece = self._client.recv(65536)
            self.broken |= not piece or b'"error"' in piece
            self.gaps.append(time.monotonic() - last)
            last = time.monotonic()

    def end(self) -> list[float]:
        self._enough.set()
        self.join()
        assert not self.broken
        return self.gaps[1:]
