"""Requests that ran alone when an engine died. One that did so twice in a short time is refused."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

import msgspec

from hyperllama.errors import InvalidRequest
from hyperllama.generation import GenerationRequest
from hyperllama.spi import LoadedModel

DEATHS = 2
EXPIRY = 600.0  # seconds after its last death a request is no longer a suspect
KEPT = 256

_ENCODER = msgspec.msgpack.Encoder()


class CrashSuspects:
    """Counts deaths by tenant, process and content of the request that ran; keeps digests, never text.

    A death counts once, and only when a single call used the model: with several, any of them may have been the cause,
    so none is held responsible. One tenant's count never affects another's request, even of the same content.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: OrderedDict[bytes, tuple[int, float]] = OrderedDict()  # count, and time of the last
        self._using: dict[int, int] = {}  # calls by id of the loaded model, which they keep alive
        self._judged: set[int] = set()  # dead models, until the last of their calls has ended

    def check(self, request: GenerationRequest, tenant: str, process: str = "") -> None:
        """Raise InvalidRequest for a request that ran during two recent deaths.

        Costs nothing while no engine has died.
        """
        if not self._deaths:
            return
        self._expire()
        if self._deaths and self._deaths.get(_digest(request, tenant, process) or b"", (0, 0.0))[0] >= DEATHS:
            raise InvalidRequest(
                "This request was running each time the model's engine died, so it is refused. Change it."
            )

    def enter(self, model: LoadedModel) -> None:
        """Count one more call, of any kind, that uses ``model``."""
        self._using[id(model)] = self._using.get(id(model), 0) + 1

    def leave(self, model: LoadedModel, request: object, tenant: str, process: str = "", *, failed: bool) -> None:
        """Count one call fewer. ``failed``: the engine, not the client or the gateway, ended it."""
        name = id(model)
        users = self._using.get(name, 1)
        if model.failure is not None and name not in self._judged:
            self._judged.add(name)
            if users == 1 and failed and isinstance(request, GenerationRequest):
                self._record(request, tenant, process)
        if users == 1:
            self._using.pop(name, None)
            self._judged.discard(name)
        else:
            self._using[name] = users - 1

    def _record(self, request: GenerationRequest, tenant: str, process: str) -> None:
        self._expire()
        if (digest := _digest(request, tenant, process)) is None:
            return
        count, _ = self._deaths.pop(digest, (0, 0.0))
        self._deaths[digest] = count + 1, self._clock()
        while len(self._deaths) > KEPT:
            self._deaths.popitem(last=False)

    def _expire(self) -> None:
        oldest = self._clock() - EXPIRY
        while self._deaths and next(iter(self._deaths.values()))[1] <= oldest:
            self._deaths.popitem(last=False)


def _digest(request: GenerationRequest, tenant: str, process: str) -> bytes | None:
    content = msgspec.structs.replace(request, model=process)  # whichever of the names that share it was used
    try:
        return blake2b(_ENCODER.encode((tenant, content)), digest_size=16).digest()
    except OverflowError:  # a number beyond 64 bits in a schema: no engine process ever gets it
        return None


__all__ = ("CrashSuspects",)
