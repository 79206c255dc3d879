"""Keys of the database, cached for a short while.

A change made through this process counts at once, one made elsewhere within half a second: the revision is watched.
While the database does not answer, a cached key is valid for as long again after the last look at the revision, which
showed that no key had changed; after that it is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from hyperllama.auth.grants import at
from hyperllama.config import Keys, parse_duration
from hyperllama.database.api_key import PREFIX
from hyperllama.database.audit import say
from hyperllama.database.database import Database
from hyperllama.database.pepper import pepper
from hyperllama.errors import ConfigError, NotFound, Unauthenticated, Unavailable
from hyperllama.identity import Credentials, Principal

if TYPE_CHECKING:
    from hyperllama.database.api_key import Found, Key
    from hyperllama.database.key_store import KeyStore

WATCH = 0.5  # seconds between looks at the revision
LATE = 4 * WATCH  # seconds without one after which the database counts as away
REMEMBERED = 10_000

log = structlog.get_logger(__name__)


class _Believed(msgspec.Struct):
    principal: Principal
    until: float | None  # unix seconds; None: for good
    fresh: float  # monotonic; then the database is asked again


class KeyCache:
    """The provider for keys that ``keys create`` made. Open it before use, close it after."""

    name = "keys"

    def __init__(
        self,
        database: Database,
        settings: Keys,
        directory: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._settings = settings
        self._directory = directory
        self._life = min(parse_duration(settings.cache), 60.0)
        self._clock = clock
        self._wall = wall
        self._store: KeyStore | None = None
        self._believed: dict[bytes, _Believed] = {}
        self._asking: dict[bytes, asyncio.Task[Found | None]] = {}
        self._revision = -1
        self._looked = float("-inf")  # on the clock, when the revision was last seen
        self._some: bool | None = None  # None: not asked yet
        self._said = float("-inf")
        self._watcher: asyncio.Task[None] | None = None

    @property
    def some(self) -> bool | None:
        """True when there is, or ever was, any key; None: not known yet."""
        return self._some

    async def store(self) -> KeyStore:
        """Return the store of keys; create the database if there is none."""
        if self._store is None:
            from hyperllama.database.key_store import KeyStore  # the database's imports are for those who have one

            secret = await asyncio.to_thread(pepper, self._directory, self._settings.pepper)
            self._store = KeyStore(self._database, secret, changed=self._changed, say=say)
        return self._store

    async def open(self) -> None:
        """Begin to watch; a server that does not answer yet is asked again. Raises ConfigError.

        A file is opened behind the caller's back, so that listening need not wait for it; the first keys do.
        """
        if not self._database.exists:
            self._some = False
        elif self._database.file is None:
            await self._look(strict=True)
        else:
            await asyncio.to_thread(pepper, self._directory, self._settings.pepper)
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the caller; None: no key of the gateway. Raises Unauthenticated: unknown, revoked or expired."""
        token = credentials.token
        if token is None or not token.startswith(PREFIX):
            return None
        if self._some is False:
            return None
        if not 20 <= len(token) <= 128 or not token.isascii():
            raise Unauthenticated("The API key is not valid.")
        store = self._store or await self.store()
        wanted = store.digest(token)
        known = self._believed.get(wanted)
        if known is None or (known.fresh <= self._clock() and not self._away()):
            try:
                known = await self._ask(store, wanted)
            except Unavailable:
                if known is None or not self._confirmed():
                    raise
        if known.until is not None and self._wall() >= known.until:
            raise Unauthenticated("The API key has expired.")
        return at(known.principal, credentials)

    async def renew(self, id: str) -> Principal | None:
        """Return the principal of the key with this id; None: it is revoked, has expired, or never was."""
        try:
            key = await (self._store or await self.store()).get(id)
        except NotFound:
            return None
        return _principal(key) if key.live(self._wall()) else None

    async def _ask(self, store: KeyStore, wanted: bytes) -> _Believed:
        """Look the key up, once at a time, however many requests bring it."""
        asking = self._asking.get(wanted)
        if asking is None:
            asking = self._asking[wanted] = asyncio.create_task(store.find(wanted))
            asking.add_done_callback(lambda done: self._asked(wanted, done))
        revision = self._revision
        try:
            found = await asyncio.shield(asking)
        except Exception as error:
            self._complain(error)
            raise Unavailable("API keys cannot be checked at the moment.", retry_after=5) from error
        if found is None or found.key.revoked is not None:
            self._believed.pop(wanted, None)
            raise Unauthenticated("The API key is not valid.")
        known = _Believed(_principal(found.key), found.until, self._clock() + self._life)
        if revision == self._revision:  # else it changed while we asked: use the answer, do not keep it
            if len(self._believed) >= REMEMBERED:
                del self._believed[next(iter(self._believed))]
            self._believed[wanted] = known
        return known

    def _asked(self, wanted: bytes, done: asyncio.Task[Found | None]) -> None:
        if self._asking.get(wanted) is done:
            del self._asking[wanted]
        if not done.cancelled():
            done.exception()  # whoever asked has it; they may all have left

    def _confirmed(self) -> bool:
        """Return whether the last look at the revision is recent enough to go by the cache."""
        return self._clock() - self._looked < self._life

    def _away(self) -> bool:
        """Return whether to go by the cache without a question, which would only be waited for."""
        return self._confirmed() and self._clock() - self._looked > LATE

    async def _watch(self) -> None:
        if self._some is None:
            await self._look()
        while True:
            await asyncio.sleep(WATCH)
            await self._look()

    async def _look(self, *, strict: bool = False) -> None:
        if not self._database.exists:
            self._some = self._some or False  # a file that is gone opens no door
            return
        try:
            store = await self.store()
            revision, some = await store.revision()
        except Exception as error:
            if strict and isinstance(error, ConfigError):
                raise
            self._complain(error)
            return
        self._looked = self._clock()
        self._some = self._some or some
        if revision != self._revision:
            self._doubt(revision)

    def _changed(self) -> None:
        """Note that this process made, rotated or revoked a key."""
        self._some = True
        self._doubt(-1)

    def _doubt(self, revision: int) -> None:
        """Ask anew from now on: what is believed, and answers that are on their way, are of before."""
        self._revision = revision
        self._believed.clear()
        self._asking = {}

    def _complain(self, error: Exception) -> None:
        if self._clock() - self._said >= 60:
            self._said = self._clock()
            log.warning("the key database does not answer", reason=type(error).__name__)


def _principal(key: Key) -> Principal:
    return Principal(
        id=key.id,
        name=key.name,
        owner=key.owner,
        permissions=frozenset(key.permissions),
        models=key.models,
        weight=key.weight,
        priority=key.priority,
        limits=key.limits,
    )


__all__ = ("KeyCache",)
