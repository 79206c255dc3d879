"""Stored responses: the caller's own words and the model's, in the gateway's records until they expire."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from hyperllama.spi import Records
from hyperllama_openai.encode import sse
from hyperllama_openai.record_store import RecordStore
from hyperllama_openai.wire.response import Response

KIND = "openai.response"
#: Seconds after which a gateway that makes a response must have renewed its record, or counts as dead.
LEASE = 60.0


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response as its JSON, with the items it was made from, oldest first."""

    id: str
    created: float  # unix seconds
    response: bytes
    items: bytes
    events: bytes = b""  # of a background stream, to be streamed again
    lease: float = msgspec.field(default=0.0, name="vouched")  # unix seconds; 0: the response is complete

    @property
    def complete(self) -> bool:
        """The state of the response: False while a gateway makes it."""
        return not self.lease


class ResponseStore(RecordStore[StoredResponse]):
    """Stored responses, each for ``ttl`` seconds from when its request came; 0: never stored."""

    def __init__(self, ttl: float, clock: Callable[[], float] = time.time) -> None:
        super().__init__(KIND, StoredResponse, ttl)
        self._clock = clock

    async def get(self, records: Records, owner: str, id: str) -> StoredResponse | None:
        """Return a response of ``owner``'s; None if there is none. One whose lease ended has failed."""
        stored = await super().get(records, owner, id)
        if stored is None or stored.complete or stored.lease > self._clock():
            return stored
        return _orphaned(stored)

    def writer(self, records: Records, owner: str, *, created: float, items: bytes) -> ResponseWriter:
        """Return the writer of one new response that is made from ``items``."""
        return ResponseWriter(self, records, owner, created=created, items=items, clock=self._clock)


class ResponseWriter:
    """The writer of one response among its owner's records, while it is made and when it is complete."""

    def __init__(
        self,
        store: ResponseStore,
        records: Records,
        owner: str,
        *,
        created: float,
        items: bytes,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._records = records
        self._owner = owner
        self._created = created
        self._items = items
        self._clock = clock

    def complete(self, response: Response, *, events: bytes = b"") -> None:
        """Store the response as it will stay."""
        self._put(response, events=events, lease=0.0)

    def renew(self, response: Response) -> None:
        """Store the response as it stands, under a new lease."""
        self._put(response, events=b"", lease=self._clock() + LEASE)

    def _put(self, response: Response, *, events: bytes, lease: float) -> None:
        stored = StoredResponse(
            id=response.id,
            created=self._created,
            response=sse.JSON.encode(response),
            items=self._items,
            events=events,
            lease=lease,
        )
        self._store.put(self._records, self._owner, stored)


def _orphaned(stored: StoredResponse) -> StoredResponse:
    response = msgspec.json.decode(stored.response)
    response["status"] = "failed"
    response["error"] = {"code": "server_error", "message": "The gateway stopped before this response was complete."}
    return msgspec.structs.replace(stored, response=msgspec.json.encode(response), lease=0.0)


__all__ = ("KIND", "LEASE", "ResponseStore", "ResponseWriter", "StoredResponse")
