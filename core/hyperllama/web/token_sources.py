"""Chunks of one generation or of several, as an answer reads them, and comments while there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from hyperllama.generation import TokenChunk
from hyperllama.server.outlet import Outlet
from hyperllama.spi import ChunkEncoder
from hyperllama.stream import TokenStream

COMMENT = b": keep-alive\n\n"


class KeepAlive:
    """Comments in an event stream while its engine is silent: proxies and clients close a connection that is idle.

    One timer a stream, which a token does not touch: a comment comes after one to two times ``Outlet.keep_alive``.
    Without an outlet, or with a ``keep_alive`` of 0, it does nothing.
    """

    def __init__(self, outlet: Outlet | None) -> None:
        self.written = True  # since the timer last ran
        self._outlet = outlet
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if self._outlet is not None and self._outlet.keep_alive:
            self._timer = asyncio.get_running_loop().call_later(self._outlet.keep_alive, self._tick, self._outlet)

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, outlet: Outlet) -> None:
        if not (self.written or outlet.lags):
            outlet.write_piece(COMMENT)
        self.written = False
        self._timer = asyncio.get_running_loop().call_later(outlet.keep_alive, self._tick, outlet)


class SingleStream:
    """A single generation. Once its answer has begun, chunks go from the engine to the socket without waking a task.

    ``begun``, which the answer sets: its status line is out.
    """

    def __init__(
        self, stream: TokenStream, encoder: ChunkEncoder, outlet: Outlet | None, keep_alive: KeepAlive
    ) -> None:
        self._stream = stream
        self._encoder = encoder
        self._outlet = outlet
        self._keep_alive = keep_alive
        self.begun = False

    async def next(self) -> tuple[int, Sequence[TokenChunk]]:
        """Return the generation's index, 0, and its next chunks that were not written yet; none at its end."""
        if self.begun and self._outlet is not None:
            return 0, await self._stream.relay(partial(self._write, self._outlet))
        return 0, await self._stream.batch()

    def _write(self, outlet: Outlet, chunks: Sequence[TokenChunk]) -> bool:
        if outlet.lags:
            return False
        if body := self._encoder.chunks(0, chunks):
            self._keep_alive.written = True
            outlet.write_piece(body)
        return True


class MergedStreams:
    """Several generations read as one, in the order in which chunks are ready. Ends when all have ended."""

    def __init__(self, streams: Sequence[TokenStream]) -> None:
        self._streams = streams
        self._reads: dict[asyncio.Future[Sequence[TokenChunk]], int] = {}
        self._reading = False
        self.begun = False

    async def next(self) -> tuple[int, Sequence[TokenChunk]]:
        """Return a generation's index and its next chunks; none when all have ended."""
        if not self._reading:
            self._reading = True
            for index in range(len(self._streams)):
                self._read(index)
        try:
            while self._reads:
                done, _ = await asyncio.wait(self._reads, return_when=asyncio.FIRST_COMPLETED)
                read = min(done, key=self._reads.__getitem__)
                index = self._reads.pop(read)
                if chunks := read.result():
                    self._read(index)
                    return index, chunks
        except BaseException:
            for read in self._reads:
                read.cancel()
            raise
        return 0, ()

    def _read(self, index: int) -> None:
        self._reads[asyncio.ensure_future(self._streams[index].batch())] = index


__all__ = ("KeepAlive", "MergedStreams", "SingleStream")
