"""A load generator that costs little: raw HTTP/1.1, events counted as they arrive."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec


class Shot(msgspec.Struct):
    """The record of a request. Times are monotonic seconds; ``events`` counts streamed pieces; ``status`` 0: none."""

    began: float = 0.0
    first: float = 0.0
    ended: float = 0.0
    status: int = 0
    events: int = 0
    tokens: int = 0
    gaps: list[float] = []
    body: bytes = b""
    head: bytes = b""  # of an answer that is kept, in lower case
    arrivals: list[tuple[int, float]] = []  # bytes of the body so far, and when


class Target(msgspec.Struct, frozen=True):
    """A request to send. ``separator`` ends an event; ``keep`` keeps the whole answer and the times of its parts."""

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
            f"Host: {f'[{self.host}]' if ':' in self.host else self.host}:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(self.body)}",
            *self.headers,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class _Reader(asyncio.Protocol):
    """A client that sends ``targets`` one after another on one connection."""

    def __init__(self, targets: Iterator[Target]) -> None:
        self._targets = targets
        self._target: Target | None = None
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
        target = next(self._targets, None)
        if target is None:
            self._transport.close()
            return
        if target is not self._target:
            self._target, self._request = target, target.request()
        self._keep, self._separator = target.keep, target.separator
        # An empty chunked body has no line before its end.
        self._head, self._tail, self._length, self._seen = b"", b"\r\n", None, 0
        self.shots.append(Shot(began=time.monotonic(), gaps=[], arrivals=[]))
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
            if not head[9:12].isdigit():
                self._transport.abort()
                return
            shot.status = int(head[9:12])
            where = head.find(b"\r\ncontent-length:")
            if where >= 0:
                self._length = int(head[where + 17 :].split(b"\r\n", 1)[0])
            if self._keep:
                shot.head = head
        if data:
            if not shot.first:
                shot.first = now
            else:
                shot.gaps.append(now - self._last)
            self._last = now
        if self._keep:
            shot.body += data
            shot.arrivals.append((len(shot.body), now))
        shot.events += data.count(self._separator)
        self._seen += len(data)
        self._tail = (self._tail + data)[-7:]
        if self._seen == self._length or (self._length is None and self._tail.endswith(b"\r\n0\r\n\r\n")):
            shot.ended = now
            if b"\r\nconnection: close" in shot.head:
                self._transport.close()
            else:
                self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self.shots and (shot := self.shots[-1]).status and not shot.ended and self._unmarked():
            shot.ended = time.monotonic()
        if not self.done.done():
            self.done.set_result(None)

    def _unmarked(self) -> bool:
        """Return whether only the end of the connection marks the end of the answer."""
        head = self.shots[-1].head
        return bool(head) and self._length is None and b"\r\ntransfer-encoding:" not in head


async def shoot(target: Target, *, clients: int, shots: int = 1) -> list[Shot]:
    """Send ``shots`` requests on each of ``clients`` connections at once. Return all of them."""
    readers = [await _connected(itertools.repeat(target, shots), target) for _ in range(clients)]
    await asyncio.gather(*(reader.done for reader in readers))
    return [shot for reader in readers for shot in reader.shots]


async def send(first: Target, *, then: Iterable[Target] = ()) -> list[Shot]:
    """Send ``first`` on one connection, then as many of ``then`` as the server keeps it open for.

    Raises OSError if no server listens.
    """
    reader = await _connected(itertools.chain((first,), then), first)
    await reader.done
    return reader.shots


async def _connected(targets: Iterator[Target], where: Target) -> _Reader:
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(lambda: _Reader(targets), where.host, where.port))[1]


def check(shots: Sequence[Shot]) -> None:
    """Raise RuntimeError unless every request was answered completely."""
    bad = [shot for shot in shots if shot.status != 200 or not shot.ended]
    if bad:
        raise RuntimeError(f"{len(bad)} of {len(shots)} requests failed, the first with status {bad[0].status}")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of all lie; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


__all__ = ("Shot", "Target", "check", "percentile", "send", "shoot")
