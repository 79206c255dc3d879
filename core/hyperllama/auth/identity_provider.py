"""Tokens of an identity provider: verified with its public keys, their claims turned into permissions."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from hyperllama.auth.grants import at
from hyperllama.auth.jwks import KeySet
from hyperllama.config import Jwt
from hyperllama.errors import ConfigError, Unauthenticated, Unavailable
from hyperllama.identity import PERMISSIONS, Credentials, Permission, Principal
from hyperllama.system.executors import Workers

LONGEST = 16 * 1024
LONGEST_SUBJECT = 120
REMEMBERED = 4096
WAITING = 1024  # tokens that wait to be verified
BELIEVED = 60.0  # seconds that a verified token is not verified again

log = structlog.get_logger(__name__)


class IdentityProvider:
    """The provider for JSON Web Tokens of one issuer. Tokens of other issuers are left to other providers."""

    name = "jwt"

    def __init__(
        self, settings: Jwt, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        """Read the settings. Raises ConfigError without the extra ``jwt``, or for an algorithm with a shared secret."""
        try:
            import jwt
        except ImportError as error:
            raise ConfigError("keys.jwt: Needs the extra; pip install 'hyperllama-gateway[jwt]'.") from error
        if any(name.upper().startswith("HS") or name.lower() == "none" for name in settings.algorithms):
            raise ConfigError("keys.jwt.algorithms: Must be algorithms with a public key: RS256, ES256, PS256, EdDSA.")
        unknown = {word for words in settings.permissions.values() for word in words} - set(PERMISSIONS)
        if unknown:
            raise ConfigError(f"keys.jwt.permissions: {sorted(unknown)} are not permissions.")
        self._jwt = jwt
        self._settings = settings
        self._keys = KeySet(settings, clock=clock)
        self._clock = clock
        self._wall = wall
        self._verifying = Workers("jwt", 2, waiting=WAITING, refusal=_busy)
        self._believed: dict[bytes, tuple[Principal, float, float]] = {}  # principal, exp, fresh

    async def open(self) -> None:
        """Fetch the keys, so that the first request need not. An issuer that is away is asked again later."""
        try:
            await self._keys.fetch()
        except Unavailable as error:
            log.warning(
                "keys of the identity provider are not there yet", issuer=self._settings.issuer, reason=str(error)
            )

    async def close(self) -> None:
        await self._keys.close()
        self._verifying.close()

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the caller; None: no token of this issuer. Raises Unauthenticated: forged, expired, foreign."""
        token = credentials.token
        if token is None or token.count(".") != 2 or len(token) > LONGEST or not token.isascii():
            return None
        known = self._believed.get(name := hashlib.sha256(token.encode()).digest())
        if known is None or known[2] <= self._clock():
            known = await self._verify(token)
            if known is None:
                return None
            if len(self._believed) >= REMEMBERED:
                del self._believed[next(iter(self._believed))]
            self._believed[name] = known
        principal, expires, _ = known
        if self._wall() >= expires + self._settings.leeway:
            raise Unauthenticated("The token has expired.")
        return at(principal, credentials)

    async def _verify(self, token: str) -> tuple[Principal, float, float] | None:
        jwt, settings = self._jwt, self._settings
        try:
            header = jwt.get_unverified_header(token)
            claimed = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return None
        if claimed.get("iss") != settings.issuer:
            return None
        if header.get("alg") not in settings.algorithms:
            raise Unauthenticated("The token is signed with an algorithm that is not accepted.")
        keys = await self._keys.candidates(str(header.get("kid") or ""), str(header["alg"]))
        claims = await self._verifying.run(lambda: self._claims(token, keys))  # half a millisecond a key
        expires = float(str(claims["exp"]))
        return self._principal(claims), expires, self._clock() + BELIEVED

    def _claims(self, token: str, keys: Sequence[Any]) -> Mapping[str, object]:
        jwt, settings = self._jwt, self._settings
        for key in keys:
            try:
                claims: dict[str, object] = jwt.decode(
                    token,
                    key,
                    algorithms=list(settings.algorithms),
                    audience=settings.audience,
                    issuer=settings.issuer,
                    leeway=settings.leeway,
                    options={"require": ["exp", "iss", "aud", settings.subject_claim]},
                )
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError):  # a key of another kind, or curve
                continue
            except jwt.ExpiredSignatureError as error:
                raise Unauthenticated("The token has expired.") from error
            except jwt.InvalidAudienceError as error:
                raise Unauthenticated("The token is meant for another service.") from error
            except (jwt.InvalidTokenError, ValueError) as error:
                raise Unauthenticated("The token is not valid.") from error
            else:
                return claims
        raise Unauthenticated("The token is not signed by its issuer.")

    def _principal(self, claims: Mapping[str, object]) -> Principal:
        settings = self._settings
        subject = str(claims[settings.subject_claim])
        models = _words(claims.get(settings.models_claim)) if settings.models_claim in claims else None
        tier = str(claims.get(settings.tier_claim, "")) if settings.tier_claim else ""
        return Principal(
            id=_id(subject),
            name="".join(filter(str.isprintable, str(claims.get(settings.name_claim, subject))))[:128],
            owner=str(claims.get(settings.owner_claim, subject)) if settings.owner_claim else subject,
            permissions=self._permissions(_words(claims.get(settings.permissions_claim))),
            models=models,
            limits={"tier": tier} if tier else {},
        )

    def _permissions(self, words: tuple[str, ...]) -> frozenset[Permission]:
        """Return the permissions of the claim's words; an unknown word gives none."""
        if self._settings.permissions:
            return frozenset(p for word in words for p in self._settings.permissions.get(word, ()))
        return frozenset(permission for permission in PERMISSIONS if permission in words)


def _id(subject: str) -> str:
    """Return the id that usage and files are kept by; a subject too long for a database column becomes its hash."""
    plain = len(subject) <= LONGEST_SUBJECT and subject.isprintable()
    return f"jwt:{subject if plain else 'sha256:' + hashlib.sha256(subject.encode()).hexdigest()}"


def _words(claim: object) -> tuple[str, ...]:
    if isinstance(claim, str):
        return tuple(claim.split())
    try:
        return msgspec.convert(claim, tuple[str, ...])
    except msgspec.ValidationError:
        return ()


def _busy() -> Unavailable:
    return Unavailable("Too many tokens are being verified at once.", retry_after=1)


__all__ = ("IdentityProvider",)
