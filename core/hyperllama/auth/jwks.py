"""The public keys of an identity provider: fetched from the configured place and nowhere else, and kept.

Beside what PyJWT's own client does: one fetch for all who wait, a deadline for the whole fetch, a cap on its size, no
redirects and no proxies, and old keys that stay in use while the provider does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec
import structlog

from hyperllama.config import Jwt
from hyperllama.errors import ConfigError, Unavailable
from hyperllama.system.network import is_loopback

if TYPE_CHECKING:
    from email.message import Message

AGAIN = 30.0  # seconds between fetches for a key that nobody knows, and after a failure
TIMEOUT = 5.0  # seconds for a whole fetch, the discovery document included
LARGEST = 1024 * 1024
KEYS = 64  # of a set; each is tried for a token without an id
#: The first two letters of an algorithm to the type of key that verifies it.
_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

log = structlog.get_logger(__name__)


class _Published(msgspec.Struct, frozen=True):
    keys: list[Any]


class _Key(msgspec.Struct, frozen=True):
    """One key of the set. ``algorithm`` empty: any that its type can verify."""

    id: str
    type: str
    algorithm: str
    key: Any

    def verifies(self, algorithm: str) -> bool:
        return self.algorithm == algorithm if self.algorithm else self.type == _TYPES.get(algorithm[:2])


class KeySet:
    """The keys of one provider. Old ones stay in use while it is away."""

    def __init__(self, settings: Jwt, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raise ConfigError for a place that is neither https, nor this machine, nor a file."""
        self._settings = settings
        self._clock = clock
        self._keys: tuple[_Key, ...] = ()
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._lock = asyncio.Lock()
        self._stuck: threading.Thread | None = None  # past its deadline, in a call that cannot be cancelled
        self._refresh: asyncio.Task[None] | None = None
        for place in (settings.jwks or settings.issuer,):
            if "://" in place:
                _check(place)
            elif not settings.jwks:
                raise ConfigError("keys.jwt.issuer: Not a URL; give the location of its keys in keys.jwt.jwks.")

    async def candidates(self, kid: str, algorithm: str) -> list[Any]:
        """Return the keys that can have signed a token: those of this id, or of none; all for a token without an id.

        Wait for the provider only while no such key is known, at most ``TIMEOUT``; keys that are old are fetched again
        meanwhile. Raise Unavailable before the first fetch.
        """
        found = self._matching(kid, algorithm)
        now = self._clock()
        if now - self._tried > AGAIN:
            if not found:
                try:
                    await self.fetch()
                except Unavailable:
                    if not self._keys:
                        raise
                found = self._matching(kid, algorithm)
            elif now - self._fetched > self._settings.refresh and (self._refresh is None or self._refresh.done()):
                self._refresh = asyncio.create_task(self._fetch_quietly())
        if not self._keys:
            raise Unavailable("The identity provider's keys have not been fetched yet.", retry_after=AGAIN)
        return found

    async def close(self) -> None:
        """Stop a fetch that nobody waits for."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)

    async def fetch(self) -> None:
        """Replace the keys; concurrent calls share one answer. Take at most ``TIMEOUT``. Raise Unavailable."""
        asked = self._clock()
        async with self._lock:
            if self._tried >= asked:
                return
            self._tried = self._clock()
            try:
                self._keys = await self._within_deadline()
            except (OSError, HTTPException, ValueError) as error:
                log.warning("keys of the identity provider not fetched", reason=type(error).__name__)
                raise Unavailable("The identity provider's keys cannot be fetched.", retry_after=AGAIN) from error
            self._fetched = self._clock()

    def _matching(self, kid: str, algorithm: str) -> list[Any]:
        usable = [key for key in self._keys if key.verifies(algorithm)]
        if not kid:
            return [key.key for key in usable]
        return [key.key for key in usable if key.id == kid] or [key.key for key in usable if not key.id]

    async def _fetch_quietly(self) -> None:
        with contextlib.suppress(Unavailable):  # logged; the old keys stay
            await self.fetch()

    async def _within_deadline(self) -> tuple[_Key, ...]:
        """Fetch in a thread of its own: a name server that is silent holds no thread that others share."""
        if self._stuck is not None and self._stuck.is_alive():
            raise TimeoutError
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[_Key, ...]] = loop.create_future()

        def settle(keys: tuple[_Key, ...] | None, error: Exception | None) -> None:
            if answer.done():
                return
            if keys is None:
                answer.set_exception(error or OSError())
            else:
                answer.set_result(keys)

        def work() -> None:
            keys, failure = None, None
            try:
                keys = _fetch(self._settings, time.monotonic() + TIMEOUT)
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop may be closed
                loop.call_soon_threadsafe(settle, keys, failure)

        thread = self._stuck = threading.Thread(target=work, name="jwks", daemon=True)
        thread.start()
        async with asyncio.timeout(TIMEOUT):
            return await answer


def _fetch(settings: Jwt, deadline: float) -> tuple[_Key, ...]:
    place = settings.jwks
    if not place:
        about = msgspec.json.decode(_read(settings.issuer.rstrip("/") + "/.well-known/openid-configuration", deadline))
        place = str(about["jwks_uri"]) if isinstance(about, dict) and "jwks_uri" in about else ""
        _check(place)
    try:
        published = msgspec.json.decode(_read(place, deadline), type=_Published).keys
    except msgspec.DecodeError as error:
        raise ValueError("not a key set") from error
    keys = tuple(key for raw in published[:KEYS] if (key := _parsed(raw)) is not None)
    if not keys:
        raise ValueError("no usable key")
    return keys


def _parsed(raw: object) -> _Key | None:
    """Read one key; None for one that verifies no signature: encryption, a shared secret, an unknown type."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    if not isinstance(raw, dict) or raw.get("use", "sig") != "sig" or raw.get("kty") not in _TYPES.values():
        return None
    try:
        key = PyJWK(raw).key
    except (PyJWTError, TypeError, ValueError):
        return None
    return _Key(str(raw.get("kid") or ""), str(raw["kty"]), str(raw.get("alg") or ""), key)


def _read(place: str, deadline: float) -> bytes:
    """Return the document at ``place``, whole before ``deadline``. Block."""
    if "://" not in place:
        with Path(place).expanduser().open("rb") as file:
            body = bytearray(file.read(LARGEST + 1))
    else:
        body = _downloaded(place, deadline)
    if len(body) > LARGEST:
        raise ValueError("too large")
    return bytes(body)


def _downloaded(place: str, deadline: float) -> bytearray:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    body = bytearray()
    try:
        with opener.open(place, timeout=_left(deadline)) as answer:  # checked by _check: https, or this machine
            while len(body) <= LARGEST and (piece := answer.read1(64 * 1024)):  # a slow sender meets the deadline
                body += piece
                _left(deadline)
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"status {error.code}") from None
    return body


def _left(deadline: float) -> float:
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _check(place: str) -> None:
    parts = urllib.parse.urlsplit(place)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return
    raise ConfigError("keys.jwt: Keys must come over https, or from a file.")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: only the configured place is asked."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        return None


__all__ = ("KeySet",)
