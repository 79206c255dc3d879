"""Authentication of callers: every provider, in order; and access without a key, where none is required."""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from hyperllama.auth.grants import Networks, StaticKeys
from hyperllama.auth.key_cache import KeyCache
from hyperllama.config import Config, Jwt
from hyperllama.database.database import Database
from hyperllama.errors import ConfigError, Unauthenticated
from hyperllama.identity import LOCAL, Credentials, Principal

if TYPE_CHECKING:
    from hyperllama.auth.identity_provider import IdentityProvider


class Authenticator:
    """The built-in AuthProvider, asked after those of plugins: static keys, the database's, tokens, networks.

    While no key is required, whoever is not known is this machine's own user. Enter it before use.
    """

    name = "door"

    def __init__(self, config: Config, database: Database, *, others: bool = False) -> None:
        """Set up the providers. ``others``: plugins have some too, so that keys are required. Raises ConfigError."""
        keys = config.keys
        self._static = StaticKeys(keys.static)
        self._networks = Networks(keys.networks)
        self._tokens = _tokens(keys.jwt)
        self._required = keys.required
        self._configured = bool(self._static or self._networks or self._tokens is not None or others)
        self._database = database
        self._seen = False  # keys, in the file
        self.key_cache = KeyCache(database, keys, config.store_path)

    @property
    def required(self) -> bool:
        """True when callers must send a key: from the first key on, for good."""
        if self._required is not None:
            return self._required
        if self._configured:
            return True
        some = self.key_cache.some
        if some is None:  # not asked yet
            self._seen = self._seen or any_keys(self._database)
            return self._seen
        return some

    async def __aenter__(self) -> Authenticator:
        await self.key_cache.open()
        if self._tokens is not None:
            await self._tokens.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.key_cache.close()
        if self._tokens is not None:
            await self._tokens.close()

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the caller; None: unknown, and a key is required. Raises Unauthenticated for a wrong key."""
        if credentials.token is not None:
            try:
                known = await self._static.authenticate(credentials)
                if known is None:
                    known = await self.key_cache.authenticate(credentials)
                if known is None and self._tokens is not None:
                    known = await self._tokens.authenticate(credentials)
            except Unauthenticated:
                if self.required:
                    raise
                known = None
            if known is not None:
                return known
        known = await self._networks.authenticate(credentials)
        if known is None and not self.required:
            return msgspec.structs.replace(LOCAL, network=credentials.client or "")
        return known

    async def renew(self, principal: Principal) -> Principal | None:
        """Return the current principal of an earlier caller; None: its key is not valid any more.

        Tokens and plugins' callers cannot be checked again without credentials: they stay as they were.
        """
        if principal.id == LOCAL.id:
            return None if self.required else principal
        if principal.id.startswith("key_"):
            found = await self.key_cache.renew(principal.id)
        elif principal.id.startswith("static:"):
            found = self._static.renew(principal.id)
        elif principal.id.startswith("network:"):
            found = self._networks.renew(principal.id)
        else:
            return principal
        return msgspec.structs.replace(found, network=principal.network) if found is not None else None


def _tokens(settings: Jwt | None) -> IdentityProvider | None:
    if settings is None:
        return None
    from hyperllama.auth.identity_provider import (
        IdentityProvider,  # HTTP and cryptography, for those who have an identity provider
    )

    return IdentityProvider(settings)


def any_keys(database: Database) -> bool:
    """Return whether the database ever held a key, before it is opened. A server named by URL counts as having one.

    Raises ConfigError for a file that is no database: it must not look like one without keys.
    """
    if database.file is None:
        return True
    if not database.file.exists():
        return False
    try:
        connection = sqlite3.connect(f"file:{database.file}?mode=ro", uri=True)
        try:
            return bool(connection.execute("SELECT count(*) FROM keys").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if "no such table" in str(error):
            return False
        raise ConfigError(f"store: The database {database.file.name} cannot be read: {error}") from error


__all__ = ("Authenticator", "any_keys")
