"""Stored chat completions: what requests with ``"store": true`` sent and got, in the gateway's records."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from hyperllama.errors import GatewayError
from hyperllama.generation import TokenChunk
from hyperllama.spi import ChunkEncoder, Records
from hyperllama.stream import Collector
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.chat import chat as encode_chat
from hyperllama_openai.encode.logprobs import of_content
from hyperllama_openai.encode.shape import ReplyShape
from hyperllama_openai.record_store import RecordStore

KIND = "openai.chat"
SCANNED = 1000  # records that one list with a filter looks through
_PAGE = 100


class StoredChat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat completion and the messages it answers, each as its JSON."""

    id: str
    created: float  # unix seconds
    model: str
    completion: bytes
    messages: bytes
    metadata: dict[str, str]

    def json(self) -> bytes:
        """Return the completion as it is read back: with its metadata."""
        return self.completion[:-1] + b',"metadata":' + sse.JSON.encode(self.metadata) + b"}"


class ChatStore(RecordStore[StoredChat]):
    """Stored chat completions, each for ``ttl`` seconds from its creation; 0: never stored."""

    def __init__(self, ttl: float) -> None:
        super().__init__(KIND, StoredChat, ttl)

    async def page(
        self,
        records: Records,
        owner: str,
        *,
        matches: Callable[[StoredChat], bool],
        after: str | None,
        limit: int,
        newest_first: bool,
    ) -> list[StoredChat]:
        """Return at most ``limit`` completions that match, out of the first 1,000 after ``after``. Raise NotFound."""
        found: list[StoredChat] = []
        for _ in range(0, SCANNED, _PAGE):
            read = await records.page(KIND, owner, after=after, limit=_PAGE, newest_first=newest_first)
            found += [stored for stored in map(self.decode, read) if matches(stored)]
            if len(found) >= limit or len(read) < _PAGE:
                break
            after = read[-1].id
        return found[:limit]


class StoringEncoder:
    """An encoder that also collects a streamed answer, and hands its JSON to ``on_whole`` when it is complete."""

    def __init__(self, encoder: ChunkEncoder, shape: ReplyShape, on_whole: Callable[[bytes], None]) -> None:
        self._encoder = encoder
        self._shape = shape
        self._on_whole = on_whole
        self._collectors = [Collector() for _ in range(shape.n)]
        self._finished: set[int] = set()

    @property
    def media_type(self) -> str:
        return self._encoder.media_type

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        kept = chunks if self._shape.logprobs is None else [of_content(chunk) for chunk in chunks]
        self._collectors[index].add(kept)
        if chunks and chunks[-1].finish_reason is not None:
            self._finished.add(index)
        return self._encoder.chunks(index, chunks)

    def end(self) -> bytes:
        if len(self._finished) == len(self._collectors):
            found = [collector.result() for collector in self._collectors]
            self._on_whole(encode_chat(found, self._shape))
        return self._encoder.end()

    def failure(self, error: GatewayError) -> bytes:
        return self._encoder.failure(error)


__all__ = ("KIND", "ChatStore", "StoredChat", "StoringEncoder")
