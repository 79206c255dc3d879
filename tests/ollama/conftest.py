"""A gateway that says what it is told to, and the Ollama routes over it on a real socket."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.types import ASGIApp, Receive, Scope, Send

from hyperllama.app.application import create_app
from hyperllama.config import load
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import (
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    RouteNotFound,
    UnsupportedFeature,
)
from hyperllama.generation import GenerationRequest, Timings, TokenChunk, Usage
from hyperllama.identity import LOCAL, Caller, Principal
from hyperllama.messages import Chat, Input, Prompt, PromptTokens
from hyperllama.models import LoadProgress, ModelInfo, RunningModel
from hyperllama.spi import Gateway, NotOnHub, Progress, Recipe, Refused
from hyperllama.stream import TokenStream
from hyperllama_ollama import wire
from hyperllama_ollama.protocol import Ollama
from hyperllama_ollama.settings import Settings

CHAT_MODEL = ModelInfo(
    name="llama3.2",
    engine="fake",
    capabilities=frozenset({"completion", "chat", "tools", "insert", "structured", "logprobs"}),
    context_length=4096,
    modified=1767323045.123456,
    digest="a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
    size_bytes=2019393189,
    format="gguf",
    family="llama",
    parameter_count=3_212_749_888,
    quantization="Q4_K_M",
    embedding_length=3072,
    vocab_size=128256,
    template="{{ messages }}",
    license="MIT",
    parameters={"stop": ["<|eot_id|>"], "num_ctx": 4096, "temperature": 0.6},
    metadata={"model_type": "llama", "num_hidden_layers": 28, "rope_theta": 500000.0},
)
THINKER = msgspec.structs.replace(
    CHAT_MODEL, name="qwen3", capabilities=frozenset({"completion", "chat", "thinking"}), modified=1767323000.0
)
EMBEDDER = msgspec.structs.replace(
    CHAT_MODEL,
    name="org/all-minilm:22m",
    capabilities=frozenset({"embedding"}),
    modified=1767324000.0,
    embedding_length=2,
    parameters={},
)
HELD = msgspec.structs.replace(CHAT_MODEL, name="held", modified=0.0)  # says one thing and then waits to be closed
TIMINGS = Timings(total=9_000_000, load=1_000_000, queue=0, prompt=3_000_000, generate=5_000_000)
USAGE = Usage(prompt_tokens=7, completion_tokens=2, cached_tokens=3)


def spoken(*texts: str, **last: object) -> list[TokenChunk]:
    """Chunks that say ``texts``, then the end."""
    fields: dict[str, object] = {"finish_reason": "stop", "usage": USAGE, "timings": TIMINGS, "tokens": 0, **last}
    return [*(TokenChunk(text=text) for text in texts), TokenChunk(**fields)]  # type: ignore[arg-type]


def vector(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


@dataclass
class FakeGateway:
    """``hyperllama.spi.Gateway``: answers with ``script``, remembers what it was asked."""

    infos: list[ModelInfo] = field(default_factory=lambda: [CHAT_MODEL, THINKER, EMBEDDER, HELD])
    script: list[TokenChunk | BaseException] = field(default_factory=lambda: [*spoken("Hi", " there")])
    refusal: GatewayError | None = None
    vectors: tuple[bytes, ...] = (vector(0.6, 0.8),)
    asked: list[GenerationRequest] = field(default_factory=list)
    embedded: list[EmbeddingRequest] = field(default_factory=list)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))  # released by each close
    store: FakeStore | None = None

    @property
    def model_store(self) -> FakeStore:
        if self.store is None:
            raise UnsupportedFeature("no store")
        return self.store

    def says(self, *texts: str, **last: object) -> None:
        """Answer with ``texts``; ``last`` are fields of the last chunk."""
        self.script = [*spoken(*texts, **last)]

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        return self.infos

    def model(self, name: str, principal: Principal) -> ModelInfo:
        wanted = name.casefold().removesuffix(":latest")
        for info in self.infos:
            if info.name.casefold().removesuffix(":latest") == wanted:
                return info
        raise ModelNotFound(f"model '{name}' not found")

    def running(self, principal: Principal) -> Sequence[RunningModel]:
        return [
            RunningModel(
                info=info,
                progress=LoadProgress("ready"),
                size_bytes=1000,
                size_vram=0,
                expires_at=None if info is THINKER else 1767323345.5,
                active=0,
            )
            for info in self.infos
            if info.name in self.loaded
        ]

    async def generate(self, request: GenerationRequest, caller: Caller) -> TokenStream:
        assert caller.protocol == "ollama"
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        return TokenStream(self._speak(request.model), self._close)

    async def _speak(self, model: str) -> AsyncGenerator[TokenChunk, None]:
        for item in list(self.script):
            if isinstance(item, BaseException):
                raise item
            yield item
            if model == HELD.name:
                await asyncio.Event().wait()

    async def _close(self) -> None:
        self.closed.release()

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Embeddings:
        self.embedded.append(request)
        if self.refusal is not None:
            raise self.refusal
        return Embeddings(self.vectors, prompt_tokens=8, load_ns=1019500, total_ns=14143917)

    async def load(self, name: str, caller: Caller, *, keep_alive: float | None = None) -> int:
        self.calls.append(("load", name, keep_alive))
        if self.refusal is not None:
            raise self.refusal
        self.loaded.add(name)
        return 1

    async def unload(self, name: str, caller: Caller) -> None:
        self.calls.append(("unload", name))
        self.loaded.discard(name)

    async def tokenize(self, name: str, input: Input, caller: Caller, **_: object) -> tuple[int, ...]:
        """1 begins a text; each word is one token."""
        match input:
            case Chat():
                words = " ".join(message.text for message in input.messages)
            case Prompt():
                words = input.text
            case PromptTokens():
                return input.ids
        return (1, *(100 + len(word) for word in words.split()))

    async def detokenize(self, name: str, ids: Sequence[int], caller: Caller) -> str:
        return f"<{' '.join(map(str, ids))}>"


class FakeStore:
    """``hyperllama.spi.ModelStore`` that holds one model and counts blobs."""

    quantizations = ("F32", "Q4_0")

    def __init__(self) -> None:
        self.blobs: dict[str, int] = {}

    async def create(self, recipe: Recipe, name: str, caller: Caller) -> AsyncGenerator[Progress, None]:
        if not recipe.base and not recipe.files:
            raise Refused("no source", reason="no_source")
        yield Progress("done")

    async def pull(self, name: str, caller: Caller, *, insecure: bool) -> AsyncGenerator[Progress, None]:
        yield Progress("resolving")
        if name != "llama3.2:latest":
            raise NotOnHub("not there")
        yield Progress("downloading", "sha256:dde5aa3fc5ff", 10)
        yield Progress("downloading", "sha256:dde5aa3fc5ff", 10, 10)
        yield Progress("done")

    async def push(self, name: str, caller: Caller, *, insecure: bool) -> AsyncGenerator[Progress, None]:
        yield Progress("locating")
        yield Progress("done")

    async def copy(self, source: str, destination: str, caller: Caller) -> None:
        self._find(source)

    async def delete(self, name: str, caller: Caller) -> None:
        self._find(name)

    async def has_blob(self, digest: str, caller: Caller) -> bool:
        return digest in self.blobs

    async def put_blob(self, digest: str, content: AsyncIterator[bytes], caller: Caller) -> bool:
        if digest in self.blobs:
            return False
        self.blobs[digest] = sum([len(piece) async for piece in content])
        return True

    def _find(self, name: str) -> None:
        if name != "llama3.2:latest":
            raise ModelNotFound(name)


class _Local:
    """What the web room's authentication and envelope leave in the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["user"] = LOCAL
            scope["state"] = {"request_id": "req_1"}
        await self._app(scope, receive, send)


def build(gateway: Callable[[], Gateway]) -> ASGIApp:
    protocol = Ollama(Settings())

    def spell(request: Request[Principal, None, State], error: Exception) -> Response[bytes]:
        match error:
            case GatewayError():
                translated = error
            case MethodNotAllowedException():
                allow = tuple(method.strip() for method in (error.headers or {}).get("allow", "").split(","))
                translated = MethodNotAllowed("method not allowed", allow=allow)
            case NotFoundException():
                translated = RouteNotFound("not found")
            case _:
                translated = GatewayError(repr(error))
        path = request.url.path
        reply = protocol.override_reply(translated, path) or protocol.error_reply(translated, path)
        return Response(reply.body, status_code=reply.status, media_type=reply.media_type, headers=reply.headers)

    handlers = {GatewayError: spell, Exception: spell}

    async def provide() -> Gateway:
        return gateway()

    app = Litestar(
        route_handlers=[Router(path="/", route_handlers=list(protocol.routes), exception_handlers=handlers)],
        exception_handlers=handlers,
        dependencies={"gateway": Provide(provide)},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=64 * 1024 * 1024,
    )
    return _Local(app)


class _Server(uvicorn.Server):
    """Says when it listens, or will not."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.settled.set()


@contextmanager
def serve(app: ASGIApp) -> Iterator[str]:
    """``app`` on a free port, in a thread of its own; its base URL."""
    server = _Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            log_config=None,
            log_level="critical",
            access_log=False,
            loop="asyncio",
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert server.settled.wait(60)
    assert server.started, "the server did not start"
    try:
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


class Stage:
    """The gateway that the one server of all tests asks at the moment."""

    def __init__(self) -> None:
        self.gateway: Any = FakeGateway()
        self.url = ""


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    found = Stage()
    with serve(build(lambda: found.gateway)) as found.url:
        yield found


@pytest.fixture
def gateway(stage: Stage) -> FakeGateway:
    stage.gateway = FakeGateway()
    return stage.gateway


@pytest.fixture
def base_url(stage: Stage, gateway: FakeGateway) -> str:
    return stage.url


@pytest.fixture(scope="session")
def connections() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def http(base_url: str, connections: httpx.Client) -> httpx.Client:
    connections.base_url = base_url
    return connections


@pytest.fixture(scope="session")
def serving() -> Callable[[ASGIApp], AbstractContextManager[str]]:
    """For tests with an application of their own."""
    return serve


@pytest.fixture(scope="session")
def sim_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole gateway with models of the sim engine."""
    place = tmp_path_factory.mktemp("sim")
    file = place / "config.toml"
    models = Path(__file__).with_name("sim_models.toml").read_text("utf-8")
    file.write_text(f'{models}\n[store]\npath = "{place}"\n', "utf-8")
    with serve(create_app(load(file, {}))) as url:
        yield url


@pytest.fixture
def store(gateway: FakeGateway) -> FakeStore:
    gateway.store = FakeStore()
    return gateway.store
