"""Streams of tokens, and the resources to release when they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from itertools import chain, groupby
from typing import Final, Literal, Protocol, TypeAlias

from hyperllama.errors import ClientGone
from hyperllama.generation import Completion, Timings, TokenChunk, Usage
from hyperllama.messages import ToolCall

Release: TypeAlias = Callable[[], Awaitable[None]]
#: Takes chunks as they come, on the event loop. False: it does not take these, and their reader must be woken.
Take: TypeAlias = Callable[[Sequence[TokenChunk]], bool]


LAG: Final = 64 * 1024  # characters of one answer that wait for its reader; each chunk counts 64 more
CROWD: Final = 128  # chunks that wait before they are joined


class ChunkSource(Protocol):
    """A producer of chunks, in batches."""

    async def batch(self) -> Sequence[TokenChunk]:
        """Wait until chunks are there and return all that are ready; an empty sequence is the end."""
        ...

    async def aclose(self) -> None:
        """Stop producing. Safe to call twice, and before the first ``batch``."""
        ...


class TokenStream:
    """An async iterator of chunks that owns resources.

    A bare async generator is not enough: closing one that was never started
    runs none of its code, ``finally`` included, so a client that leaves between
    admission and the first token would keep its slot for ever.

    Iterate it (a chunk each), or call :meth:`batch` for all chunks that are ready together.
    :meth:`relay` is ``batch`` for a reader that can do without being woken: what its ``take`` accepts is done with,
    and only what it refuses, or the last chunks, are returned. What ``take`` raises, ``relay`` raises.
    """

    __slots__ = ("_pending", "_release", "_source", "batch", "relay")

    batch: Callable[[], Awaitable[Sequence[TokenChunk]]]
    relay: Callable[[Take], Awaitable[Sequence[TokenChunk]]]

    def __init__(self, source: ChunkSource | AsyncGenerator[TokenChunk, None], release: Release | None = None) -> None:
        self._source = source
        self._release = release
        self._pending: list[TokenChunk] = []
        # Bound once, so that a batch costs no frame of ours on its way through.
        self.batch = source.batch if hasattr(source, "batch") else _single(source)
        self.relay = getattr(source, "relay", self._no_relay)  # a source need not have one

    def __aiter__(self) -> TokenStream:
        return self

    async def __anext__(self) -> TokenChunk:
        if not self._pending:
            self._pending = list(reversed(await self.batch()))
            if not self._pending:
                raise StopAsyncIteration
        return self._pending.pop()

    async def _no_relay(self, _: Take) -> Sequence[TokenChunk]:
        return await self.batch()

    async def aclose(self) -> None:
        """Stop the source, then release. Safe to call twice."""
        release, self._release = self._release, None
        try:
            await self._source.aclose()
        finally:
            if release is not None:
                await release()


def _single(source: AsyncGenerator[TokenChunk, None]) -> Callable[[], Awaitable[Sequence[TokenChunk]]]:
    async def batch() -> Sequence[TokenChunk]:
        try:
            return (await anext(source),)
        except StopAsyncIteration:
            return ()

    return batch


class ChunkQueue:
    """A source that a producer on the same event loop fills: no task, no lock, at most one future a batch.

    A relayed batch costs one callback: everything that came in one turn of the loop, in one piece.

    No engine can be held up for one reader, so what a lagging one has not taken is joined into fewer chunks; at
    :data:`LAG` of it the producer is told to stop, and the reader gets ClientGone after what there is.
    """

    __slots__ = ("_due", "_ended", "_error", "_full", "_on_close", "_ready", "_take", "_waiter")

    def __init__(self, on_close: Callable[[], None] | None = None) -> None:
        """Create an empty queue. ``on_close`` runs once when the reader closes before the end, to stop the producer."""
        self._ready: list[TokenChunk] = []
        self._waiter: asyncio.Future[None] | None = None
        self._take: Take | None = None
        self._due = False  # ``_pass_on`` is scheduled
        self._ended = False
        self._error: BaseException | None = None
        self._full = CROWD
        self._on_close = on_close

    def put(self, chunk: TokenChunk) -> None:
        """Hand over a chunk; one with a finish reason is the last. Ignored after the end."""
        if self._ended:
            return
        self._ready.append(chunk)
        if chunk.finish_reason is not None:
            self._ended = True
        elif len(self._ready) >= self._full:
            self._crowded()
        self._wake()

    def fail(self, error: BaseException) -> None:
        """End with ``error``, raised to the reader once it has read what came before."""
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()

    @property
    def ended(self) -> bool:
        return self._ended

    async def batch(self) -> Sequence[TokenChunk]:
        if not self._ready:
            if not self._ended:
                self._waiter = asyncio.get_running_loop().create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            if not self._ready:
                if self._error is not None:
                    raise self._error
                return ()
        ready, self._ready, self._full = self._ready, [], CROWD
        return ready

    async def relay(self, take: Take) -> Sequence[TokenChunk]:
        self._take = take
        try:
            return await self.batch()
        finally:
            self._take = None

    async def aclose(self) -> None:
        on_close, self._on_close = self._on_close, None
        if not self._ended:
            self._ended = True
            if on_close is not None:
                on_close()

    def _crowded(self) -> None:
        self._ready = _joined(self._ready)
        self._full = len(self._ready) + CROWD
        if sum(map(_size, self._ready)) >= LAG:
            on_close, self._on_close = self._on_close, None
            self._ended, self._error = True, ClientGone("The reader fell too far behind; the answer was cut short.")
            if on_close is not None:
                on_close()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._take is None or self._ended:
            waiter.set_result(None)
        elif not self._due:
            self._due = True
            waiter.get_loop().call_soon(self._pass_on)

    def _pass_on(self) -> None:
        self._due = False
        waiter = self._waiter
        if self._take is None or waiter is None or waiter.done() or not self._ready:
            return
        try:
            if self._take(self._ready):
                self._ready = []
            else:
                waiter.set_result(None)
        except BaseException as error:  # noqa: BLE001 - the reader's own, to be raised where it waits
            waiter.set_exception(_raisable(error))


def _raisable(error: BaseException) -> Exception:
    """Return ``error`` as one that a future can raise: no StopIteration, and no exit of the event loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(f"the reader's callback raised {type(error).__name__}")
    failure.__cause__ = error
    return failure


def _joined(chunks: Sequence[TokenChunk]) -> list[TokenChunk]:
    """Join runs of chunks that are text alone, or reasoning alone, each to one chunk."""
    out: list[TokenChunk] = []
    for kind, run in groupby(chunks, _kind):
        few = list(run)
        out += few if not kind or len(few) == 1 else (_one(few),)
    return out


def _one(chunks: Sequence[TokenChunk]) -> TokenChunk:
    """Return one chunk with the tokens of all."""
    return TokenChunk(
        text="".join(chunk.text for chunk in chunks),
        reasoning="".join(chunk.reasoning for chunk in chunks),
        tokens=sum(chunk.tokens for chunk in chunks),
        token_ids=tuple(chain.from_iterable(chunk.token_ids for chunk in chunks)),
        logprobs=tuple(chain.from_iterable(chunk.logprobs for chunk in chunks)),
    )


def _kind(chunk: TokenChunk) -> Literal["", "text", "reasoning"]:
    """Return what the chunk consists of; empty: more than text or reasoning."""
    if (chunk.text and chunk.reasoning) or chunk != _one((chunk,)):
        return ""
    return "reasoning" if chunk.reasoning else "text"


def _size(chunk: TokenChunk) -> int:
    calls = sum(len(call.arguments) for call in chunk.tool_calls)
    return 64 + len(chunk.text) + len(chunk.reasoning) + calls + 2 * len(chunk.token_ids) + 16 * len(chunk.logprobs)


class Collector:
    """Adds chunks up to a :class:`Completion`."""

    def __init__(self) -> None:
        self._chunks: list[TokenChunk] = []

    def add(self, chunks: Sequence[TokenChunk]) -> bool:
        """Add ``chunks``, and take them all: a :data:`Take`."""
        self._chunks.extend(chunks)
        return True

    def result(self) -> Completion:
        """Return the whole generation. Call once its last chunk was added."""
        chunks = self._chunks
        last = chunks[-1] if chunks else TokenChunk(finish_reason="stop", tokens=0)
        whole = _one(chunks)
        return Completion(
            text=whole.text,
            reasoning=whole.reasoning,
            tool_calls=_join_calls(chunks),
            logprobs=whole.logprobs,
            token_ids=whole.token_ids,
            prompt_token_ids=last.prompt_token_ids,
            finish_reason=last.finish_reason or "stop",
            usage=last.usage or Usage(completion_tokens=whole.tokens),
            timings=last.timings or Timings(),
            stop_match=last.stop_match,
            prompt_logprobs=chunks[0].prompt_logprobs if chunks else (),
        )


def _join_calls(chunks: Sequence[TokenChunk]) -> tuple[ToolCall, ...]:
    calls: dict[int, tuple[str, str, list[str]]] = {}
    for chunk in chunks:
        for delta in chunk.tool_calls:
            _, _, arguments = calls.setdefault(delta.index, (delta.id or "", delta.name or "", []))
            arguments.append(delta.arguments)
    return tuple(ToolCall(key, name, "".join(arguments)) for _, (key, name, arguments) in sorted(calls.items()))


async def collect(stream: TokenStream) -> Completion:
    """Read ``stream`` to its end and close it."""
    collector = Collector()
    try:
        while chunks := await stream.relay(collector.add):
            collector.add(chunks)
    finally:
        await stream.aclose()
    return collector.result()


__all__ = ("ChunkQueue", "ChunkSource", "Collector", "Release", "Take", "TokenStream", "collect")
