"""A gateway in memory, for tests of protocols: answers what it is told to, and remembers what it was asked."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import GatewayError, ModelNotFound
from hyperllama.generation import GenerationRequest, TokenChunk
from hyperllama.identity import LOCAL, Caller, Principal
from hyperllama.messages import Chat, Input, Prompt, PromptTokens
from hyperllama.models import LoadProgress, ModelInfo, RunningModel
from hyperllama.stream import ChunkQueue, TokenStream
from hyperllama.testing.chunks import chunks

Answer: TypeAlias = Callable[[GenerationRequest], Sequence[TokenChunk | GatewayError]]


def caller(principal: Principal = LOCAL, *, protocol: str = "test") -> Caller:
    return Caller(protocol=protocol, principal=principal, request_id="request-1")


def model_info(name: str = "fake", **fields: object) -> ModelInfo:
    """A model that can do everything, with what ``fields`` say."""
    everything = {
        "capabilities": frozenset(
            {"completion", "chat", "tools", "vision", "thinking", "insert", "embedding", "structured", "logprobs"}
        ),
        "context_length": 4096,
        "embedding_length": 8,
        "max_logprobs": 20,
    }
    return ModelInfo(name=name, engine="fake", **{**everything, **fields})  # type: ignore[arg-type]


class FakeGateway:
    """``hyperllama.spi.Gateway`` without an engine.

    ``answer`` makes the chunks of each generation; an error among them is raised in their place. Set ``refusal`` to
    have every generation and embedding refused. ``requests``, ``embeddings``, ``loads`` and ``unloads`` are what was
    asked, in order; ``open`` counts streams that have been handed out and not closed.
    """

    def __init__(self, *models: ModelInfo, answer: Answer | None = None) -> None:
        """Without ``models``: one, ``fake``. Without ``answer``: three words."""
        self.refusal: GatewayError | None = None
        self.requests: list[GenerationRequest] = []
        self.embeddings: list[EmbeddingRequest] = []
        self.callers: list[Caller] = []
        self.loads: list[tuple[str, float | None]] = []
        self.unloads: list[str] = []
        self.open = 0
        self._models = models or (model_info(),)
        self._loaded: set[str] = set()
        self._answer = answer or (lambda _request: chunks(["Hello", " from", " here"]))

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
        self.requests.append(request)
        self._use(request.model, caller)
        queue = ChunkQueue()
        for item in self._answer(request):
            if isinstance(item, GatewayError):
                queue.fail(item)
            else:
                queue.put(item)
        self.open += 1
        return TokenStream(queue, self._closed)

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Embeddings:
        self.embeddings.append(request)
        info = self._use(request.model, caller)
        length = request.dimensions or info.embedding_length
        vectors = tuple(_vector(text, length) for text in request.inputs)
        return Embeddings(vectors, sum(len(text) for text in request.inputs), load_ns=1, total_ns=2)

    async def load(self, name: str, caller: Caller, *, keep_alive: float | None = None) -> int:
        info = self._use(name, caller)
        self.loads.append((info.name, keep_alive))
        return 1

    async def unload(self, name: str, caller: Caller) -> None:
        info = self.model(name, caller.principal)
        self._loaded.discard(info.name)
        self.unloads.append(info.name)

    async def tokenize(self, name: str, input: Input, caller: Caller) -> tuple[int, ...]:
        """A token a character of the text."""
        self.model(name, caller.principal)
        match input:
            case PromptTokens(ids=ids):
                return ids
            case Prompt(text=text):
                return tuple(map(ord, text))
            case Chat(messages=messages):
                return tuple(map(ord, "\n".join(message.text for message in messages)))

    async def detokenize(self, name: str, ids: Sequence[int], caller: Caller) -> str:
        self.model(name, caller.principal)
        return "".join(map(chr, ids))

    def _use(self, name: str, caller: Caller) -> ModelInfo:
        self.callers.append(caller)
        info = self.model(name, caller.principal)
        if self.refusal is not None:
            raise self.refusal
        self._loaded.add(info.name)
        return info

    async def _closed(self) -> None:
        self.open -= 1


def _vector(text: str | tuple[int, ...], length: int) -> bytes:
    """Of length one, and the same for the same text."""
    raw = hashlib.shake_256(repr(text).encode()).digest(length)
    scale = sum(byte * byte for byte in raw) ** 0.5 or 1.0
    return struct.pack(f"<{length}f", *(byte / scale for byte in raw))


__all__ = ("Answer", "FakeGateway", "caller", "model_info")
