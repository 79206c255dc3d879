"""HTTP clients that give up on a Hub that is silent or too slow. Imports httpx: import it where it is needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx

MIN_RATE = 4096  # bytes a second, on average over one time-out


class PacedStream(httpx.SyncByteStream):
    """The body of an answer. Iterating raises ``httpx.ReadTimeout`` when less than ``MIN_RATE`` comes.

    Only the time spent waiting counts, not what the reader does between two pieces.
    """

    def __init__(self, stream: httpx.SyncByteStream, timeout: float) -> None:
        """``timeout``: seconds over which the rate is measured."""
        self._stream = stream
        self._timeout = timeout

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self._stream)
        waited, received = 0.0, 0
        while True:
            began = time.monotonic()
            try:
                piece = next(pieces)
            except StopIteration:
                return
            waited += time.monotonic() - began
            received += len(piece)
            if waited >= self._timeout:
                if received < MIN_RATE * waited:
                    raise httpx.ReadTimeout(f"less than {MIN_RATE} bytes a second")
                waited, received = 0.0, 0
            yield piece

    def close(self) -> None:
        self._stream.close()


class PacedClients:
    """The client factory of huggingface_hub. ``paced``: its time-out, by which others know it."""

    def __init__(self, timeout: float, default: Callable[[], httpx.Client]) -> None:
        """``timeout``: seconds for every silence, and of the least rate for every body. ``default`` makes a client."""
        self.paced = timeout
        self._default = default

    def __call__(self) -> httpx.Client:
        client = self._default()
        client.timeout = httpx.Timeout(self.paced)
        client.event_hooks = {**client.event_hooks, "response": [*client.event_hooks.get("response", []), self._pace]}
        return client

    def _pace(self, response: httpx.Response) -> None:
        if isinstance(response.stream, httpx.SyncByteStream):
            response.stream = PacedStream(response.stream, self.paced)


__all__ = ("MIN_RATE", "PacedClients", "PacedStream")
