"""Stored responses: the caller's own words and the model's, among what the gateway keeps, until they expire."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from hyperllama.spi import Record, Records

KIND = "openai.response"
#: Seconds for which a gateway that makes a response vouches for it; it says so again well before.
VOUCHED = 60.0

_ENCODER = msgspec.msgpack.Encoder()


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A response as its JSON, with the items it was made from, oldest first."""

    id: str
    created: float  # unix seconds
    response: bytes
    items: bytes
    events: bytes = b""  # of a background stream, for who reads it again
    vouched: float = 0.0  # until when the gateway that makes it says that it does, unix seconds; 0: it is made


class Responses:
    """Kept ``ttl`` seconds from when they were asked for; 0: never kept, whatever a request says."""

    def __init__(self, ttl: float, clock: Callable[[], float] = time.time) -> None:
        self._ttl = ttl
        self._clock = clock
        self._decoder = msgspec.msgpack.Decoder(Stored)

    @property
    def kept(self) -> bool:
        return self._ttl > 0

    def put(self, records: Records, owner: str, stored: Stored) -> None:
        expires = stored.created + self._ttl
        body = _ENCODER.encode(stored)
        records.put(Record(kind=KIND, id=stored.id, owner=owner, created=stored.created, expires=expires, body=body))

    async def get(self, records: Records, owner: str, id: str) -> Stored | None:
        """None: never there, expired, or somebody else's. One whose gateway died while it made it has failed."""
        record = await records.get(KIND, id[:128], owner)
        if record is None:
            return None
        stored = self._decoder.decode(record.body)
        return stored if not stored.vouched or stored.vouched > self._clock() else _orphaned(stored)

    def delete(self, records: Records, owner: str, id: str) -> None:
        records.delete(KIND, id, owner)


def _orphaned(stored: Stored) -> Stored:
    response = msgspec.json.decode(stored.response)
    response["status"] = "failed"
    response["error"] = {"code": "server_error", "message": "The gateway stopped before this response was complete."}
    return msgspec.structs.replace(stored, response=msgspec.json.encode(response), vouched=0.0)


__all__ = ("KIND", "VOUCHED", "Responses", "Stored")
