"""Values of one type among the gateway's records, each of its owner and until it expires."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

import msgspec

from hyperllama.spi import Record, Records

_ENCODER = msgspec.msgpack.Encoder()


class Storable(Protocol):
    """A value with an id and the time of its creation in unix seconds."""

    @property
    def id(self) -> str: ...

    @property
    def created(self) -> float: ...


V = TypeVar("V", bound=Storable)


class RecordStore(Generic[V]):
    """Values in ``Records``, each for ``ttl`` seconds from its creation; 0: never stored."""

    def __init__(self, kind: str, type: type[V], ttl: float) -> None:
        self._kind = kind
        self._ttl = ttl
        self._decoder = msgspec.msgpack.Decoder(type)

    @property
    def enabled(self) -> bool:
        """The state of the store; False if nothing is ever stored, whatever a request contains."""
        return self._ttl > 0

    def put(self, records: Records, owner: str, stored: V) -> None:
        """Store or replace a value; written behind, never waits."""
        expires = stored.created + self._ttl
        body = _ENCODER.encode(stored)
        records.put(
            Record(kind=self._kind, id=stored.id, owner=owner, created=stored.created, expires=expires, body=body)
        )

    async def get(self, records: Records, owner: str, id: str) -> V | None:
        """Return a value of ``owner``'s; None if there is none."""
        record = await records.get(self._kind, id[:128], owner)
        return None if record is None else self.decode(record)

    def delete(self, records: Records, owner: str, id: str) -> None:
        """Delete a value; written behind, never waits."""
        records.delete(self._kind, id, owner)

    def decode(self, record: Record) -> V:
        """Return the value of a record."""
        return self._decoder.decode(record.body)


__all__ = ("RecordStore", "Storable")
