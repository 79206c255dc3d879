"""An identity provider's public keys: fetched from the configured place and nowhere else, and kept."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec
import structlog

from hyperllama.config import Jwt
from hyperllama.errors import ConfigError, Unavailable
from hyperllama.system.network import is_loopback

if TYPE_CHECKING:
    from email.message import Message

    from jwt import PyJWK

AGAIN = 30.0  # seconds between fetches for a key that nobody knows, and after a failure
TIMEOUT = 5.0
LARGEST = 1024 * 1024

log = structlog.get_logger(__name__)


class KeySet:
    """The keys by their ids. Old ones are kept while the provider is away."""

    def __init__(self, settings: Jwt, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError for a place that is neither https, nor this machine, nor a file."""
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._lock = asyncio.Lock()
        for place in (settings.jwks or settings.issuer,):
            if "://" in place:
                _check(place)
            elif not settings.jwks:
                raise ConfigError("keys.jwt.issuer: not a URL; name the place of its keys in keys.jwt.jwks")

    async def candidates(self, kid: str) -> list[PyJWK]:
        """The key of this id; all of them for a token that names none. Raises Unavailable before the first fetch."""
        now = self._clock()
        old = now - self._fetched > self._settings.refresh
        missing = (kid not in self._keys) if kid else not self._keys
        if (old or missing) and now - self._tried > AGAIN:
            try:
                await self.fetch()
            except Unavailable:
                if not self._keys:
                    raise
        if not self._keys:
            raise Unavailable("the identity provider's keys are not there yet", retry_after=AGAIN)
        if not kid:
            return list(self._keys.values())
        return [self._keys[kid]] if kid in self._keys else []

    async def fetch(self) -> None:
        """Replace the keys; whoever asks meanwhile shares the answer. Raises Unavailable."""
        asked = self._clock()
        async with self._lock:
            if self._tried >= asked:
                return
            self._tried = self._clock()
            try:
                keys = await asyncio.to_thread(_fetch, self._settings)
            except (OSError, HTTPException, ValueError) as error:
                log.warning("keys of the identity provider not fetched", reason=type(error).__name__)
                raise Unavailable("the identity provider's keys cannot be fetched", retry_after=AGAIN) from error
            self._keys = keys
            self._fetched = self._clock()


def _fetch(settings: Jwt) -> dict[str, PyJWK]:
    from jwt import PyJWKSet
    from jwt.exceptions import PyJWTError

    place = settings.jwks
    if not place:
        about = msgspec.json.decode(_read(settings.issuer.rstrip("/") + "/.well-known/openid-configuration"))
        place = str(about["jwks_uri"]) if isinstance(about, dict) and "jwks_uri" in about else ""
        _check(place)
    try:
        keys = PyJWKSet.from_dict(msgspec.json.decode(_read(place), type=dict[str, object]))
    except (PyJWTError, msgspec.DecodeError) as error:
        raise ValueError("not a key set") from error
    return {key.key_id or str(index): key for index, key in enumerate(keys.keys)}


def _read(place: str) -> bytes:
    if "://" not in place:
        return Path(place).expanduser().read_bytes()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    with opener.open(place, timeout=TIMEOUT) as answer:  # checked by _check: https, or this machine
        body = answer.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise ValueError("too large")
    return bytes(body)


def _check(place: str) -> None:
    parts = urllib.parse.urlsplit(place)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return
    raise ConfigError("keys.jwt: keys are fetched over https, or from a file")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The configured place answers itself, or not at all."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        return None


__all__ = ("KeySet",)
