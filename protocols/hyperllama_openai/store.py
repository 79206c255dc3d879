"""Responses that were to be kept: behind a Protocol, so that a database can take the place of memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import msgspec


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A response as its JSON, with the items it was made from, oldest first."""

    id: str
    owner: str  # the principal it belongs to; nobody else finds it
    response: bytes
    items: bytes
    expires: float  # unix seconds
    events: bytes = b""  # of a background stream, for who reads it again


class ResponseStore(Protocol):
    """``put`` and ``delete`` are seen by the next ``get``; whatever is slow about them happens behind."""

    def put(self, stored: Stored) -> None: ...

    async def get(self, id: str, owner: str) -> Stored | None:
        """None: never there, expired, or somebody else's."""
        ...

    def delete(self, id: str) -> None: ...


class MemoryStore:
    """Kept in this process until it expires, or until newer ones need its room."""

    def __init__(self, *, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: OrderedDict[str, Stored] = OrderedDict()
        self._bytes = 0

    def put(self, stored: Stored) -> None:
        self.delete(stored.id)
        self._kept[stored.id] = stored
        self._bytes += _size(stored)
        now = self._clock()
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.expires > now and self._bytes <= self._max_bytes:
                break
            self.delete(oldest.id)

    async def get(self, id: str, owner: str) -> Stored | None:
        stored = self._kept.get(id)
        if stored is None or stored.owner != owner:
            return None
        if stored.expires <= self._clock():
            self.delete(id)
            return None
        return stored

    def delete(self, id: str) -> None:
        stored = self._kept.pop(id, None)
        if stored is not None:
            self._bytes -= _size(stored)


def _size(stored: Stored) -> int:
    return len(stored.response) + len(stored.items) + len(stored.events) + 512  # the rest of an entry, about


__all__ = ("MemoryStore", "ResponseStore", "Stored")
