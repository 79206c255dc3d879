"""A load generator that costs little: raw HTTP/1.1, events counted as they arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec


class Shot(msgspec.Struct):
    """One request. Times are monotonic seconds. ``events`` counts streamed pieces, ``status`` 0 means no answer."""

    began: float = 0.0
    first: float = 0.0
    ended: float = 0.0
    status: int = 0
    events: int = 0
    tokens: int = 0
    gaps: list[float] = []
    body: bytes = b""


class Target(msgspec.Struct, frozen=True):
    """What to send. ``separator`` ends an event; ``keep`` keeps the whole answer."""

    host: str
    port: int
    path: str
    body: bytes
    separator: bytes = b"\n\n"
    headers: tuple[str, ...] = ()
    keep: bool = False

    def request(self) -> bytes:
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(self.body)}",
            *self.headers,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class _Reader(asyncio.Protocol):
    """Sends ``shots`` requests one after another on one connection."""

    def __init__(self, target: Target, shots: int) -> None:
        self._target = target
        self._request = target.request()
        self._left = shots
        self._head = b""
        self._tail = b""
        self._length: int | None = None
        self._seen = 0
        self._last = 0.0
        self.shots: list[Shot] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP connection
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self._left == 0:
            self._transport.close()
            return
        self._left -= 1
        self._head, self._tail, self._length, self._seen = b"", b"", None, 0
        self.shots.append(Shot(began=time.monotonic(), gaps=[]))
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        shot = self.shots[-1]
        if not shot.status:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head, data = self._head[:end].lower(), self._head[end + 4 :]
            shot.status = int(head[9:12])
            where = head.find(b"content-length: ")
            if where >= 0:
                self._length = int(head[where + 16 :].split(b"\r\n", 1)[0])
        if data:
            if not shot.first:
                shot.first = now
            else:
                shot.gaps.append(now - self._last)
            self._last = now
        if self._target.keep:
            shot.body += data
        shot.events += data.count(self._target.separator)
        self._seen += len(data)
        self._tail = (self._tail + data)[-7:]
        if self._seen == self._length or (self._length is None and self._tail.endswith(b"\r\n0\r\n\r\n")):
            shot.ended = now
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def shoot(target: Target, *, clients: int, shots: int = 1) -> list[Shot]:
    """``clients`` connections at once, ``shots`` requests each, one after another. Returns them all."""
    loop = asyncio.get_running_loop()
    readers: Sequence[_Reader] = [
        (await loop.create_connection(lambda: _Reader(target, shots), target.host, target.port))[1]
        for _ in range(clients)
    ]
    await asyncio.gather(*(reader.done for reader in readers))
    return [shot for reader in readers for shot in reader.shots]


def check(shots: Sequence[Shot]) -> None:
    """Raises RuntimeError unless every one was answered, whole."""
    bad = [shot for shot in shots if shot.status != 200 or not shot.ended]
    if bad:
        raise RuntimeError(f"{len(bad)} of {len(shots)} requests failed, the first with status {bad[0].status}")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of all lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


__all__ = ("Shot", "Target", "check", "percentile", "shoot")
