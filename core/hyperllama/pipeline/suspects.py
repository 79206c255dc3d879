"""Requests that were running when an engine died: after the second death the same request is not let in again."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

import msgspec

from hyperllama.errors import InvalidRequest
from hyperllama.generation import GenerationRequest

DEATHS = 2
KEPT = 256

_ENCODER = msgspec.msgpack.Encoder()


class PoisonList:
    """Counts deaths by request content; keeps digests, never text, of the last few hundred."""

    def __init__(self) -> None:
        self._deaths: OrderedDict[bytes, int] = OrderedDict()

    def check(self, request: GenerationRequest) -> None:
        """Raises InvalidRequest for one that was there at two deaths. Costs nothing while no engine has died."""
        if self._deaths and self._deaths.get(_digest(request), 0) >= DEATHS:
            raise InvalidRequest(
                "this request was running each time the model's engine stopped and is not tried again; change it"
            )

    def record(self, request: GenerationRequest) -> None:
        digest = _digest(request)
        self._deaths[digest] = self._deaths.pop(digest, 0) + 1
        while len(self._deaths) > KEPT:
            self._deaths.popitem(last=False)


def _digest(request: GenerationRequest) -> bytes:
    try:
        content = _ENCODER.encode(request)
    except OverflowError:  # a number beyond 64 bits in a schema: no engine process ever gets it
        content = b""
    return blake2b(content, digest_size=16).digest()


__all__ = ("PoisonList",)
