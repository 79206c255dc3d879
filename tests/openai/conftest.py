"""The dialect over a real socket, in front of a gateway that says what a test wants."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import openai
import pytest
import uvicorn
from litestar import Litestar, Router
from litestar.di import Provide

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import ContextTooLong, GatewayError, ModelNotFound
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.identity import LOCAL, Caller, Credentials, Principal
from hyperllama.messages import Chat, Input, Prompt, PromptTokens
from hyperllama.models import ModelInfo, RunningModel
from hyperllama.spi import Gateway
from hyperllama.stream import TokenStream
from hyperllama.web.auth import Authentication
from hyperllama.web.dialects import handlers_for, handlers_for_all
from hyperllama.web.envelope import Envelope
from hyperllama_openai.protocol import OpenAI
from hyperllama_openai.settings import Settings

Answer = Callable[[GenerationRequest], Sequence[Sequence[TokenChunk] | Exception]]

INFO = ModelInfo(
    name="org/tiny",
    engine="fake",
    capabilities=frozenset({"completion", "chat", "tools", "thinking", "logprobs", "structured"}),
    context_length=1024,
    aliases=("tiny",),
    modified=1_700_000_000.5,
    vocab_size=0x110000,
)


def text_of(value: Input) -> str:
    match value:
        case Chat(messages=messages):
            return "".join(f"{message.role}:{message.text}\n" for message in messages)
        case Prompt(text=text):
            return text
        case PromptTokens(ids=ids):
            return "".join(map(chr, ids))


def greet(request: GenerationRequest) -> Sequence[Sequence[TokenChunk]]:
    """``Hello there.`` in three tokens, one of them alone."""
    words = ("Hello", " there", ".")
    limit = request.sampling.max_tokens
    kept = words[:limit]
    usage = Usage(prompt_tokens=len(text_of(request.input)), completion_tokens=len(kept))
    end = TokenChunk(tokens=0, finish_reason="length" if len(kept) < len(words) else "stop", usage=usage)
    return [[TokenChunk(text=kept[0])], [*(TokenChunk(text=word) for word in kept[1:]), end]]


class FakeGateway:
    """A model of one code point to a token. ``answer`` says what comes; an exception in it is raised in its place."""

    def __init__(self) -> None:
        self.answer: Answer = greet
        self.refusal: GatewayError | None = None
        self.admits: int | None = None  # generations admitted before ``refusal``; None: none when there is a refusal
        self.requests: list[GenerationRequest] = []
        self.embedded: list[EmbeddingRequest] = []
        self.open = 0
        self.changed = asyncio.Event()  # set whenever ``open`` changes
        self.hold: asyncio.Event | None = None  # generations wait for it before their first token
        self.places: asyncio.Semaphore | None = None  # held from admission until the last chunk was read

    def count(self, change: int) -> None:
        self.open += change
        self.changed.set()

    async def until_open(self, number: int) -> None:
        """Wait until so many generations are open."""
        async with asyncio.timeout(20):
            while self.open != number:
                self.changed.clear()
                await self.changed.wait()

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        return (INFO,)

    def model(self, name: str, principal: Principal) -> ModelInfo:
        if name not in (INFO.name, *INFO.aliases):
            raise ModelNotFound(f"The model '{name}' does not exist.")
        return INFO

    def running(self, principal: Principal) -> Sequence[RunningModel]:
        return ()

    async def generate(self, request: GenerationRequest, caller: Caller) -> TokenStream:
        self.model(request.model, caller.principal)
        if self.places is not None:
            await self.places.acquire()
        self.requests.append(request)
        if self.refusal is not None and len(self.requests) > (self.admits or 0):
            raise self.refusal
        return TokenStream(_Source(self, self.answer(request)))

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Embeddings:
        self.model(request.model, caller.principal)
        if self.refusal is not None:
            raise self.refusal
        self.embedded.append(request)
        size = request.dimensions or 4
        vectors = tuple(
            struct.pack(f"<{size}f", *(0.5, -1.25, *[float(len(each))] * size)[:size]) for each in request.inputs
        )
        return Embeddings(vectors, prompt_tokens=sum(map(len, request.inputs)))

    async def load(self, name: str, caller: Caller, *, keep_alive: float | None = None) -> int:
        return 0

    async def unload(self, name: str, caller: Caller) -> None:
        return None

    async def tokenize(self, name: str, input: Input, caller: Caller) -> tuple[int, ...]:
        self.model(name, caller.principal)
        return tuple(map(ord, text_of(input)))

    async def detokenize(self, name: str, ids: Sequence[int], caller: Caller) -> str:
        self.model(name, caller.principal)
        return "".join(map(chr, ids))


class _Source:
    def __init__(self, gateway: FakeGateway, batches: Sequence[Sequence[TokenChunk] | Exception]) -> None:
        self._gateway = gateway
        self._batches = list(batches)
        self._closed = False
        self._placed = gateway.places is not None
        gateway.count(1)

    async def batch(self) -> Sequence[TokenChunk]:
        if self._gateway.hold is not None:
            await self._gateway.hold.wait()
        if not self._batches:
            self._leave()
            return ()
        batch = self._batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        return batch

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._gateway.count(-1)
            self._leave()

    def _leave(self) -> None:
        if self._placed and self._gateway.places is not None:
            self._placed = False
            self._gateway.places.release()


class Anyone:
    """Lets everyone in."""

    name = "anyone"

    async def authenticate(self, credentials: Credentials) -> Principal:
        return LOCAL


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def settings() -> Settings:
    """Override to change the plugin's settings."""
    return Settings()


@pytest.fixture
async def base_url(fake: FakeGateway, settings: Settings) -> AsyncIterator[str]:
    protocol = OpenAI(settings)

    async def gateway() -> Gateway:
        return fake

    app = Litestar(
        route_handlers=[
            Router(path="/", route_handlers=list(protocol.routes), exception_handlers=handlers_for(protocol))
        ],
        middleware=[Authentication((Anyone(),))],
        dependencies={"gateway": Provide(gateway)},
        exception_handlers=handlers_for_all([protocol]),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=16 * 1024 * 1024,
    )
    config = uvicorn.Config(Envelope(app), host="127.0.0.1", port=0, log_config=None, lifespan="off", ws="none")
    server = _Server(config)
    serving = asyncio.create_task(server._serve())
    await server.up.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS on loopback
        yield client


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def too_long() -> ContextTooLong:
    return ContextTooLong("The prompt has 2000 tokens and the model's context holds 1024.")
