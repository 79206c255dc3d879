"""State shared by all connections: their counts, and the one clock that enforces their deadlines."""

from __future__ import annotations

import asyncio
import os
import resource
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import msgspec

from hyperllama.server.bounds import Bounds
from hyperllama.system.network import counted_as, is_loopback

#: ``reserved``: only paths in ``Bounds.always`` are served. ``crowded``: this address has too many of them.
Admission: TypeAlias = Literal["open", "reserved", "crowded", "full"]

SPARE_DESCRIPTORS = 64  # kept for model files, engine hosts and the database


class Guarded(Protocol):
    def check(self, now: float) -> None:
        """Close or abort if a deadline has passed."""
        ...


class Guard:
    """The count of connections and a timer that checks each. ``start`` once the loop runs, ``stop`` before it ends."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.closing = False  # every answer from now on is its connection's last
        self.connections: set[Guarded] = set()
        self.refused: Counter[str] = Counter()  # by status, and "timeout", "stalled", "crowded", "full"; for metrics
        self._networks: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._vacant: asyncio.Future[None] | None = None
        shortest = min(
            bounds.header_timeout, bounds.body_timeout, bounds.body_grace, bounds.stall_timeout, bounds.idle_timeout
        )
        self._tick = min(0.25, shortest / 8)

    def enter(self, connection: Guarded, network: str) -> Admission:
        """Count ``connection``, also under ``network``, and return its admission. ``leave`` must follow in any case."""
        bounds = self.bounds
        taken = len(self.connections)
        self.connections.add(connection)
        if network:
            self._networks[network] += 1
            if self._networks[network] > bounds.per_address:
                self.refused["crowded"] += 1
                return "crowded"
        if taken >= bounds.connections:
            self.refused["full"] += 1
            return "full"
        return "reserved" if taken >= bounds.connections - bounds.reserve else "open"

    def leave(self, connection: Guarded, network: str) -> None:
        self.connections.discard(connection)
        if network:
            self._networks[network] -= 1
            if self._networks[network] <= 0:
                del self._networks[network]
        if self._vacant is not None and not self.connections and not self._vacant.done():
            self._vacant.set_result(None)

    def vacant(self) -> asyncio.Future[None]:
        """Return a future that is done once no connection is left."""
        self._vacant = asyncio.get_running_loop().create_future()
        if not self.connections:
            self._vacant.set_result(None)
        return self._vacant

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._tick, self._sweep, loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self.start(loop)
        now = loop.time()
        for connection in tuple(self.connections):
            connection.check(now)


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """Return the network that ``address`` is counted under; empty for loopback, which is not counted."""
    return "" if is_loopback(address) else counted_as(address)


def within_descriptors(bounds: Bounds) -> Bounds:
    """Return ``bounds`` with no more connections than free file descriptors, after raising the soft limit if needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = bounds.connections + SPARE_DESCRIPTORS * 2
    ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < ceiling:
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
        soft = ceiling
    if soft == resource.RLIM_INFINITY:
        return bounds
    left = max(4, soft - _open_descriptors() - min(SPARE_DESCRIPTORS, soft // 4))
    if left >= bounds.connections:
        return bounds
    return msgspec.structs.replace(bounds, connections=left, reserve=min(bounds.reserve, left // 4))


def _open_descriptors() -> int:
    table = Path("/proc/self/fd")
    return len(os.listdir(table)) if table.exists() else 32  # noqa: PTH208 - names are enough


__all__ = ("Admission", "Guard", "Guarded", "network_of", "within_descriptors")
