"""A key as a value, and its secret at the one moment that it is known."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama.identity import Permission

PREFIX = "hlg_"  # of every key that the gateway makes: it tells them from tokens and from other services' keys


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. Times are unix seconds; ``expires`` None: never; ``revoked`` None: it is not."""

    name: str
    id: str = ""
    owner: str = ""
    permissions: tuple[Permission, ...] = ("infer", "models:read")
    models: tuple[str, ...] | None = None
    limits: dict[str, Any] = {}
    weight: float = 1.0
    priority: int = 0
    created: float = 0.0
    expires: float | None = None
    revoked: float | None = None

    def live(self, now: float) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


class Issued(msgspec.Struct, frozen=True):
    """A key and its secret, which exists nowhere else and is shown once."""

    key: Key
    secret: str


class Found(msgspec.Struct, frozen=True):
    """The key that a secret belongs to; ``until``: unix seconds at which it stops working, None: never."""

    key: Key
    until: float | None


__all__ = ("PREFIX", "Found", "Issued", "Key")
