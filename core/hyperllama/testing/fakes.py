"""A gateway in memory, for tests of protocols: answers as scripted, and records its requests."""

from __future__ import annotations

import asyncio
import hashlib
import struct
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import GatewayError, ModelNotFound, NotFound, UnsupportedFeature
from hyperllama.generation import Effort, GenerationRequest, TokenChunk, ToolSpec
from hyperllama.identity import LOCAL, Caller, Principal
from hyperllama.messages import Chat, Input, Prompt, PromptTokens
from hyperllama.models import LoadProgress, ModelInfo, RunningModel
from hyperllama.spi import Batches, Files, ModelStore, Record, Records
from hyperllama.stream import TokenStream
from hyperllama.testing.chunks import chunks

#: A chunk by itself, several that are ready together, or an error that is raised in their place.
Scripted: TypeAlias = TokenChunk | Sequence[TokenChunk] | GatewayError
Answer: TypeAlias = Callable[[GenerationRequest], Sequence[Scripted]]


def caller(principal: Principal = LOCAL, *, protocol: str = "test") -> Caller:
    return Caller(protocol=protocol, principal=principal, request_id="request-1")


def model_info(name: str = "fake", **fields: object) -> ModelInfo:
    """Return a model that can do everything, changed by ``fields``."""
    everything = {
        "capabilities": frozenset(
            {"completion", "chat", "tools", "vision", "thinking", "insert", "embedding", "structured", "logprobs"}
        ),
        "context_length": 4096,
        "embedding_length": 8,
        "max_logprobs": 20,
    }
    return ModelInfo(name=name, engine="fake", **{**everything, **fields})  # type: ignore[arg-type]


class MemoryRecords:
    """``hyperllama.spi.Records`` in memory; a record expires when it is read too late."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._kept: dict[tuple[str, str], Record] = {}

    def put(self, record: Record) -> None:
        kept = self._kept.get((record.kind, record.id))
        if kept is None or kept.owner == record.owner:
            self._kept[record.kind, record.id] = record

    async def get(self, kind: str, id: str, owner: str) -> Record | None:
        record = self._kept.get((kind, id))
        return record if record is not None and record.owner == owner and record.expires > self._wall() else None

    def delete(self, kind: str, id: str, owner: str) -> None:
        record = self._kept.get((kind, id))
        if record is not None and record.owner == owner:
            del self._kept[kind, id]

    async def page(
        self, kind: str, owner: str, *, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> Sequence[Record]:
        own = [r for r in self._kept.values() if (r.kind, r.owner) == (kind, owner) and r.expires > self._wall()]
        own.sort(key=lambda record: (record.created, record.id), reverse=newest_first)
        if after is not None:
            ids = [record.id for record in own]
            if after not in ids:
                raise NotFound(f"there is no '{after}' to go on after", param="after")
            own = own[ids.index(after) + 1 :]
        return own[:limit]


class FakeGateway:
    """``hyperllama.spi.Gateway`` without an engine.

    ``answer`` makes the chunks of each generation. Set ``refusal`` to have every generation and embedding refused,
    and ``admits`` to the number of generations that are let in before it. ``requests``, ``embeddings``, ``loads`` and
    ``unloads`` record the calls, in order; ``open`` counts streams that have been handed out and not closed.
    With ``hold`` set, generations wait for it before their first chunk; ``places`` is held from admission until the
    last chunk was read. ``vector`` makes the vector of an input, given the number of dimensions.
    """

    def __init__(self, *models: ModelInfo, answer: Answer | None = None) -> None:
        """Offer ``models`` (none: one, ``fake``), which answer with ``answer`` (None: three words)."""
        self.answer: Answer = answer or (lambda _request: chunks(["Hello", " from", " here"]))
        self.vector: Callable[[str | tuple[int, ...], int], bytes] = hashed_vector
        self.refusal: GatewayError | None = None
        self.admits = 0
        self.requests: list[GenerationRequest] = []
        self.embeddings: list[EmbeddingRequest] = []
        self.callers: list[Caller] = []
        self.loads: list[tuple[str, float | None]] = []
        self.unloads: list[str] = []
        self.open = 0
        self.hold: asyncio.Event | None = None
        self.places: asyncio.Semaphore | None = None
        self.records: Records = MemoryRecords()
        self._changed = asyncio.Event()  # set whenever ``open`` changes
        self._models = models or (model_info(),)
        self._loaded: set[str] = set()

    async def until_open(self, number: int) -> None:
        """Wait until ``number`` streams are open. Raises TimeoutError after 20 seconds."""
        async with asyncio.timeout(20):
            while self.open != number:
                self._changed.clear()
                await self._changed.wait()

    @property
    def model_store(self) -> ModelStore:
        raise UnsupportedFeature("There are no models on disk here.")

    @property
    def files(self) -> Files:
        raise UnsupportedFeature("There are no files here.")

    @property
    def batches(self) -> Batches:
        raise UnsupportedFeature("There are no batches here.")

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        return [info for info in self._models if principal.may_use(info.name, *info.aliases)]

    def model(self, name: str, principal: Principal) -> ModelInfo:
        for info in self.models(principal):
            if name in (info.name, *info.aliases):
                return info
        raise ModelNotFound(f"model '{name}' not found", param="model")

    def running(self, principal: Principal) -> Sequence[RunningModel]:
        return [
            RunningModel(
                info=info,
                progress=LoadProgress("ready"),
                size_bytes=info.size_bytes,
                size_vram=0,
                expires_at=None,
                active=self.open,
            )
            for info in self.models(principal)
            if info.name in self._loaded
        ]

    async def generate(self, request: GenerationRequest, caller: Caller) -> TokenStream:
        if self.places is not None:
            await self.places.acquire()
        self.requests.append(request)
        self._use(request.model, caller, admitted=len(self.requests) <= self.admits)
        self._count(1)
        return TokenStream(_Script(self.answer(request), self.hold, self.places), self._closed)

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Embeddings:
        self.embeddings.append(request)
        info = self._use(request.model, caller)
        length = request.dimensions or info.embedding_length
        vectors = tuple(self.vector(text, length) for text in request.inputs)
        return Embeddings(vectors, sum(len(text) for text in request.inputs), load_ns=1, total_ns=2)

    async def load(self, name: str, caller: Caller, *, keep_alive: float | None = None) -> int:
        info = self._use(name, caller)
        self.loads.append((info.name, keep_alive))
        return 1

    async def unload(self, name: str, caller: Caller) -> None:
        info = self.model(name, caller.principal)
        self._loaded.discard(info.name)
        self.unloads.append(info.name)

    async def tokenize(
        self,
        name: str,
        input: Input,
        caller: Caller,
        *,
        tools: Sequence[ToolSpec] = (),
        reasoning: bool | Effort | None = None,
    ) -> tuple[int, ...]:
        """Return one token per character; tools, as JSON, come before the text."""
        self.model(name, caller.principal)
        offered = "".join(msgspec.json.encode(tool).decode() for tool in tools)
        return tuple(map(ord, offered + text_of(input)))

    async def detokenize(self, name: str, ids: Sequence[int], caller: Caller) -> str:
        self.model(name, caller.principal)
        return "".join(map(chr, ids))

    async def token_texts(self, name: str, ids: Sequence[int], caller: Caller) -> tuple[str, ...]:
        self.model(name, caller.principal)
        return tuple(map(chr, ids))

    def _use(self, name: str, caller: Caller, *, admitted: bool = False) -> ModelInfo:
        self.callers.append(caller)
        info = self.model(name, caller.principal)
        if self.refusal is not None and not admitted:
            raise self.refusal
        self._loaded.add(info.name)
        return info

    async def _closed(self) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        self.open += change
        self._changed.set()


class _Script:
    """``hyperllama.stream.ChunkSource`` that reads an answer out."""

    def __init__(self, answer: Sequence[Scripted], hold: asyncio.Event | None, place: asyncio.Semaphore | None) -> None:
        self._answer = list(reversed(answer))
        self._hold = hold
        self._place = place

    async def batch(self) -> Sequence[TokenChunk]:
        if self._hold is not None:
            await self._hold.wait()
        if not self._answer:
            self._leave()
            return ()
        match self._answer.pop():
            case TokenChunk() as chunk:
                return (chunk,)
            case GatewayError() as error:
                raise error
            case ready:
                return ready

    async def aclose(self) -> None:
        self._leave()

    def _leave(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.release()


def text_of(input: Input) -> str:
    """Return the text of a prompt as :class:`FakeGateway` counts it."""
    match input:
        case PromptTokens(ids=ids):
            return "".join(map(chr, ids))
        case Prompt(text=text):
            return text
        case Chat(messages=messages):
            return "\n".join(message.text for message in messages)


def hashed_vector(text: str | tuple[int, ...], length: int) -> bytes:
    """Return a vector of length one, the same for the same text."""
    raw = hashlib.shake_256(repr(text).encode()).digest(length)
    scale = sum(byte * byte for byte in raw) ** 0.5 or 1.0
    return struct.pack(f"<{length}f", *(byte / scale for byte in raw))


__all__ = ("Answer", "FakeGateway", "MemoryRecords", "Scripted", "caller", "hashed_vector", "model_info", "text_of")
