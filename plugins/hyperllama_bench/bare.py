"""The least cost of a token: a uvloop server that only writes the same bytes at the same pace.

Run as a module: ``python -m hyperllama_bench.bare PACE TOKENS BYTES``. Its first line names the port.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


class _Writers:
    """The connections that still get pieces; one step writes one to each."""

    def __init__(self, pace: float, tokens: int, piece: bytes) -> None:
        self._interval = 1 / pace if pace else 0.0
        self._tokens = tokens
        self._piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        self._left: dict[asyncio.Transport, int] = {}

    def add(self, transport: asyncio.Transport) -> None:
        transport.write(_HEAD)
        if not self._left:
            self._soon()
        self._left[transport] = self._tokens

    def _step(self) -> None:
        for transport, left in [*self._left.items()]:
            transport.write(self._piece if left > 1 else self._piece + _END)
            if left > 1:
                self._left[transport] = left - 1
            else:
                del self._left[transport]
        if self._left:
            self._soon()

    def _soon(self) -> None:
        loop = asyncio.get_running_loop()
        if self._interval:
            loop.call_later(self._interval, self._step)
        else:
            loop.call_soon(self._step)


class _Connection(asyncio.Protocol):
    def __init__(self, writers: _Writers) -> None:
        self._writers = writers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._writers.add(self._transport)


async def main(pace: float, tokens: int, size: int) -> None:
    writers = _Writers(pace, tokens, b"x" * size)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(writers), "127.0.0.1", 0)
    print(f'{{"port": {server.sockets[0].getsockname()[1]}}}', flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
