"""The only loop over tokens in the core. Code that must see every token belongs here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec
import structlog

from hyperllama.errors import EngineFailed, GatewayError
from hyperllama.generation import Timings, TokenChunk, Usage
from hyperllama.spi import Call, Outcome, Transform
from hyperllama.stream import Take, TokenStream

log = structlog.get_logger(__name__)

WhenDone: TypeAlias = Callable[["TokenLoop", Outcome, BaseException | None], Awaitable[None]]


class TokenLoop:
    """Reads one generation from the engine's stream: transforms, counts and times its chunks.

    A ``hyperllama.stream.ChunkSource`` over another stream. ``when_done`` is awaited once the answer is complete or
    has failed, before its reader gets the last chunk or the error; not when the reader closes before.
    """

    __slots__ = (
        "_abort",
        "_ended",
        "_inspected",
        "_prompt",
        "_stream",
        "_take",
        "_task",
        "_transform",
        "_when_done",
        "call",
    )

    def __init__(self, call: Call, stream: TokenStream, transform: Transform | None, when_done: WhenDone) -> None:
        self.call = call
        self._stream = stream
        self._transform = transform
        self._when_done = when_done
        self._prompt = Usage()
        self._take: Take | None = None
        self._inspected: Sequence[TokenChunk] = ()  # refused by the taker, for the next batch
        self._ended = False
        self._abort: GatewayError | None = None
        self._task: asyncio.Task[object] | None = None

    async def batch(self) -> Sequence[TokenChunk]:
        """Return the next chunks; an empty sequence is the end. Raises GatewayError."""
        return await self.next_batch(None)

    async def relay(self, take: Take) -> Sequence[TokenChunk]:
        """Forward chunks to ``take``, and return those it refuses, or the last ones.

        The first chunks are never forwarded: the head of the answer depends on them.
        """
        return await self.next_batch(take if self.call.first else None)

    async def next_batch(self, take: Take | None) -> Sequence[TokenChunk]:
        """Wait for chunks and inspect them; the step that both ways of reading share."""
        if self._ended:
            return ()
        call, self._take = self.call, take
        try:
            if self._abort is not None:
                raise self._abort
            self._task = asyncio.current_task()
            chunks = await (self._stream.batch() if take is None else self._stream.relay(self._forward))
            self._task = None
            if not chunks:
                raise EngineFailed("The engine ended without finishing the answer.")
            if not call.first:
                call.first = time.perf_counter_ns()
                call.caller.headers["server-timing"] = _server_timing(call)
                self._prompt = chunks[0].usage or self._prompt
            chunks, self._inspected = self._inspected or self.inspect(chunks), ()
            return chunks if chunks[-1].finish_reason is None else await self.finish(chunks)
        except asyncio.CancelledError:
            if self._abort is None or self._task is None:
                raise
            self._task.uncancel()
            await self.fail(self._abort)
            raise self._abort from None
        except GatewayError as error:
            await self.fail(error)
            raise
        except Exception as error:
            log.exception("stream failed", model=call.info.name, request_id=call.caller.request_id)
            failure = EngineFailed("The answer could not be finished because of an internal error.")
            await self.fail(failure)
            raise failure from error

    def inspect(self, chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
        """Transform and count ``chunks``; a transform may end the answer before the last of them."""
        if self._transform is not None:
            chunks = _transformed(chunks, self._transform)
        for chunk in chunks:
            self.call.tokens += chunk.tokens
        return chunks

    async def finish(self, chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
        """Complete the last chunk, and release everything before the client has read it."""
        self._ended = True
        call, last = self.call, chunks[-1]
        call.last = time.perf_counter_ns()
        usage = last.usage or msgspec.structs.replace(self._prompt, completion_tokens=call.tokens)
        call.usage = usage
        timings = Timings(
            total=call.last - call.started,
            load=call.loaded - call.admitted,
            queue=call.admitted - call.started,
            prompt=call.first - call.loaded,
            generate=call.last - call.first,
        )
        done = msgspec.structs.replace(last, usage=usage, timings=timings)
        try:
            await self._stream.aclose()
        finally:
            await self._when_done(self, "finished", None)
        return [*chunks[:-1], done]

    async def fail(self, error: BaseException) -> None:
        """End the answer with ``error``, which the caller of this method raises."""
        self._ended = True
        try:
            await self._stream.aclose()
        finally:
            await self._when_done(self, "failed", error)

    async def aclose(self) -> None:
        """Stop reading. Safe to call twice."""
        self._ended = True
        await self._stream.aclose()

    def abort(self, error: GatewayError) -> None:
        """Raise ``error`` in the reader, now if it waits, else at its next read."""
        self._abort = error
        if self._task is not None:
            self._task.cancel()

    def _forward(self, chunks: Sequence[TokenChunk]) -> bool:
        inspected = self.inspect(chunks)
        if inspected[-1].finish_reason is None and self._take is not None and self._take(inspected):
            return True
        self._inspected = inspected
        return False


def _transformed(chunks: Sequence[TokenChunk], transform: Transform) -> Sequence[TokenChunk]:
    out = []
    for chunk in chunks:
        out.append(transform.feed(chunk))
        if out[-1].finish_reason is not None:
            break
    return out


def _server_timing(call: Call) -> str:
    """Format the parts of the time to the first token, in milliseconds."""
    spans = (
        ("queue", call.admitted - call.started),
        ("load", call.loaded - call.admitted),
        ("engine", call.first - call.loaded),
    )
    return ", ".join(f"{name};dur={span / 1e6:.2f}" for name, span in spans)


__all__ = ("TokenLoop", "WhenDone")
