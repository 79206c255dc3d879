"""Callers: credentials, principals and permissions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import msgspec

Permission: TypeAlias = Literal["infer", "models:read", "models:write", "admin"]
PERMISSIONS: tuple[Permission, ...] = ("infer", "models:read", "models:write", "admin")


class Credentials(msgspec.Struct, frozen=True):
    """The credentials of an HTTP request, before any provider has checked them."""

    token: str | None  # from Authorization (Bearer, Basic), x-api-key or api-key; None also for two different
    headers: Mapping[str, str]
    client: str | None  # the peer's address; None: a Unix socket


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller.

    ``id`` keys its limits and usage, ``owner`` groups several keys, ``models`` are shell patterns of names.
    ``weight`` and ``priority`` are read by the queue. ``limits`` is the key's own table of limits.
    """

    id: str
    name: str = ""  # shown in logs; never a secret
    owner: str = ""
    permissions: frozenset[Permission] = frozenset({"infer", "models:read"})
    models: tuple[str, ...] | None = None  # None: every model
    weight: float = 1.0
    priority: int = 0  # higher goes first
    limits: dict[str, Any] = {}
    network: str = ""  # the peer's address, for limits by network

    def may_use(self, *names: str) -> bool:
        """Return whether this caller may use a model with these ``names`` (its name and aliases)."""
        if self.models is None:
            return True
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.models)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The sender of one HTTP request.

    ``headers`` go with the answer: those that the core adds to the dialect's (allowances, timings).
    ``wait_timeout``: seconds it waits for a cold model (``Prefer: wait=<seconds>``); inf: as long as that takes.
    """

    protocol: str
    principal: Principal
    request_id: str
    headers: dict[str, str] = {}
    wait_timeout: float = math.inf
    traceparent: str = ""  # of W3C Trace Context, as it was sent; for traces
    tally: dict[str, int] = {}  # kept by the pipeline: whether limits have counted this HTTP request


#: Of batches: beneath the lowest that a key can have (-10).
IDLE_PRIORITY = -11

LOCAL = Principal(id="local", name="local", permissions=frozenset(PERMISSIONS))

__all__ = ("IDLE_PRIORITY", "LOCAL", "PERMISSIONS", "Caller", "Credentials", "Permission", "Principal")
