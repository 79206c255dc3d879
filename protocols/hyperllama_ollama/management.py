"""What routes that change the model store ask of one, and where they find it: the gateway's ``store``, if any."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, runtime_checkable

from hyperllama.identity import Caller
from hyperllama.spi import Gateway
from hyperllama_ollama import wire
from hyperllama_ollama.errors import NotImplementedHere


class Step(Protocol):
    """A line of progress. ``digest`` is empty and ``total`` 0 where a line has none."""

    @property
    def status(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def total(self) -> int: ...
    @property
    def completed(self) -> int: ...


class ModelStore(Protocol):
    """Models on disk. Names are short (``m:latest``, ``org/m:tag``); digests are ``sha256:`` and 64 hex digits.

    Every method raises GatewayError with the sentence the client is to read. The generators end with ``success``;
    closing one stops the work as far as nobody else waits for it.
    """

    def create(self, request: wire.CreateRequest, name: str, caller: Caller) -> AsyncGenerator[Step, None]: ...

    def pull(self, name: str, caller: Caller, *, insecure: bool) -> AsyncGenerator[Step, None]: ...

    def push(self, name: str, caller: Caller, *, insecure: bool) -> AsyncGenerator[Step, None]: ...

    async def copy(self, source: str, destination: str, caller: Caller) -> None:
        """Raises ModelNotFound when there is no ``source``."""
        ...

    async def delete(self, name: str, caller: Caller) -> None:
        """Raises ModelNotFound."""
        ...

    async def has_blob(self, digest: str, caller: Caller) -> bool: ...

    async def put_blob(self, digest: str, content: AsyncIterator[bytes], caller: Caller) -> bool:
        """Whether it is new; one that is there is not read. Raises InvalidRequest when the digest is another."""
        ...


@runtime_checkable
class HasStore(Protocol):
    """A gateway that keeps models."""

    @property
    def store(self) -> ModelStore | None: ...


def store_of(gateway: Gateway) -> ModelStore:
    """Raises NotImplementedHere."""
    store = gateway.store if isinstance(gateway, HasStore) else None
    if store is None:
        raise NotImplementedHere("this server has no model store: models are named in its configuration")
    return store


__all__ = ("HasStore", "ModelStore", "Step", "store_of")
