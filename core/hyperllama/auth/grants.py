"""From what an administrator wrote to a principal: static keys by hash, and networks of clients that send no key."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping

import msgspec

from hyperllama.config import Grant, StaticKey
from hyperllama.errors import Unauthenticated
from hyperllama.identity import Credentials, Principal
from hyperllama.system.network import Network, contains, parse_address, parse_network

REMEMBERED = 10_000


def principal(id: str, name: str, grant: Grant) -> Principal:
    """Return the principal that a grant gives its bearer."""
    return Principal(
        id=id,
        name=name,
        owner=grant.owner,
        permissions=frozenset(grant.permissions),
        models=grant.models,
        weight=grant.weight,
        priority=grant.priority,
        limits=grant.limits,
    )


def at(who: Principal, credentials: Credentials) -> Principal:
    """Return the principal with the address it calls from, for limits by network."""
    client = credentials.client
    return who if client is None else msgspec.structs.replace(who, network=client)


class StaticKeys:
    """Keys of ``[keys.static]``, by the SHA-256 of what the client sends."""

    name = "static"

    def __init__(self, keys: Mapping[str, StaticKey], *, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._known = {
            (hashed := bytes.fromhex(key.hash.partition(":")[2])): (
                hashed,
                principal(f"static:{name}", name, key),
                key.expires.timestamp() if key.expires is not None else None,
            )
            for name, key in keys.items()
        }

    def __bool__(self) -> bool:
        return bool(self._known)

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        if not self._known or credentials.token is None:
            return None
        hashed = hashlib.sha256(credentials.token.encode("utf-8", "surrogateescape")).digest()
        found = self._known.get(hashed)
        if found is None or not hmac.compare_digest(found[0], hashed):
            return None
        _, who, expires = found
        if expires is not None and self._wall() >= expires:
            raise Unauthenticated("The API key has expired.")
        return at(who, credentials)

    def renew(self, id: str) -> Principal | None:
        """Return the principal with this id now; None: there is none, or it has expired."""
        for _, who, expires in self._known.values():
            if who.id == id:
                return who if expires is None or self._wall() < expires else None
        return None


class Networks:
    """Principals of ``[keys.networks]``: the narrowest network that holds the peer's own address."""

    name = "networks"

    def __init__(self, networks: Mapping[str, Grant]) -> None:
        parsed: list[tuple[Network, Principal]] = [
            (parse_network(name), principal(f"network:{name}", name, grant)) for name, grant in networks.items()
        ]
        self._networks = sorted(parsed, key=lambda entry: -entry[0].prefixlen)
        self._seen: dict[str, Principal | None] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        client = credentials.client
        if not self._networks or client is None:
            return None
        if client not in self._seen:
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[client] = self._match(client)
        who = self._seen[client]
        return at(who, credentials) if who is not None else None

    def renew(self, id: str) -> Principal | None:
        """Return the principal with this id now; None: there is none."""
        return next((who for _, who in self._networks if who.id == id), None)

    def _match(self, client: str) -> Principal | None:
        address = parse_address(client)
        if address is None:
            return None
        return next((who for network, who in self._networks if contains(network, address)), None)


__all__ = ("Networks", "StaticKeys", "at", "principal")
