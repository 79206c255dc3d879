"""The service that creates, changes and revokes keys, for the command line and the admin API alike.

An act is in the audit log, in one transaction with its change; one that fails is there, too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from hyperllama.config import Config, Limits, check_allowance, parse_duration
from hyperllama.config.schema import MAX_PRIORITY, MAX_WEIGHT
from hyperllama.database.api_key import Issued, Key
from hyperllama.database.audit import Actor, AuditLog
from hyperllama.errors import ConfigError, InvalidRequest
from hyperllama.identity import Permission

if TYPE_CHECKING:
    from hyperllama.database.key_store import KeyStore

LONGEST_GRACE = 10 * 365 * 86_400.0
PATTERNS = 100


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that is asked for. ``expires`` is a duration ("720h", "30d"), a date, or unix seconds; None: never.

    ``limits`` is an Allowance of its own, as in the configuration, and may name a ``tier``.
    """

    name: str
    owner: str = ""
    permissions: tuple[Permission, ...] = ("infer", "models:read")
    models: tuple[str, ...] | None = None
    limits: dict[str, Any] = {}
    weight: float = 1.0
    priority: int = 0
    expires: str | float | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change to a key; an absent field stays as it is. ``models`` None: every model, ``expires`` None: never."""

    owner: str | UnsetType = UNSET
    permissions: tuple[Permission, ...] | UnsetType = UNSET
    models: tuple[str, ...] | UnsetType | None = UNSET
    limits: dict[str, Any] | UnsetType = UNSET
    weight: float | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    expires: str | float | UnsetType | None = UNSET


class KeyService:
    """Raises InvalidRequest with the field at fault, NotFound for a key that is not there."""

    def __init__(self, store: KeyStore, audit: AuditLog, config: Config) -> None:
        self._store = store
        self._audit = audit
        self._config = config

    async def create(self, draft: Draft, actor: Actor) -> Issued:
        async with self._audit.watching("keys.create", draft.name, actor, done=False):
            if not 0 < len(draft.name) <= 128 or not draft.name.isprintable():
                raise InvalidRequest("A name must have 1 to 128 printable characters.", param="name")
            key = Key(name=draft.name, **self._checked(msgspec.structs.asdict(draft), but="name"))
            return await self._store.create(key, actor=actor.name, request_id=actor.request_id)

    async def update(self, name: str, change: Change, actor: Actor) -> Key:
        async with self._audit.watching("keys.update", name, actor, done=False):
            given = {k: v for k, v in msgspec.structs.asdict(change).items() if v is not UNSET}
            if not given:
                raise InvalidRequest("There is nothing to change. Name a field.")
            fields = self._checked(given)
            return await self._store.update(name, fields, actor=actor.name, request_id=actor.request_id)

    async def rotate(self, name: str, grace: float | str | None, actor: Actor) -> Issued:
        """Issue a new secret. ``grace``: seconds that the old one still works; None: as configured."""
        async with self._audit.watching("keys.rotate", name, actor, done=False):
            given = parse_duration(self._config.keys.grace) if grace is None else _seconds(grace, "grace")
            seconds = min(given, LONGEST_GRACE)
            return await self._store.rotate(name, grace=seconds, actor=actor.name, request_id=actor.request_id)

    async def revoke(self, name: str, actor: Actor) -> Key:
        async with self._audit.watching("keys.revoke", name, actor, done=False):
            return await self._store.revoke(name, actor=actor.name, request_id=actor.request_id)

    async def get(self, name: str) -> Key:
        return await self._store.get(name)

    async def all(self, *, ended: bool) -> Sequence[Key]:
        """Return all keys, newest first; ``ended``: revoked and expired ones, too."""
        now = time.time()
        return [key for key in await self._store.all() if ended or key.live(now)]

    def _checked(self, given: Mapping[str, Any], *, but: str = "") -> dict[str, Any]:
        fields = {name: value for name, value in given.items() if name != but}
        if len(fields.get("owner", "")) > 128:
            raise InvalidRequest("An owner must have at most 128 characters.", param="owner")
        models = fields.get("models")
        if models is not None and (len(models) > PATTERNS or any(not 0 < len(model) <= 255 for model in models)):
            raise InvalidRequest(f"models: Must be at most {PATTERNS} patterns of 1 to 255 characters.", param="models")
        weight = fields.get("weight", 1.0)
        if not 0 < weight <= MAX_WEIGHT:
            raise InvalidRequest("The weight must be above 0, and at most a million.", param="weight")
        if abs(fields.get("priority", 0)) > MAX_PRIORITY:
            raise InvalidRequest("The priority must be between -10 and 10.", param="priority")
        if "limits" in fields:
            fields["limits"] = _limits(fields["limits"], self._config.limits)
        if fields.get("expires") is not None:
            fields["expires"] = _moment(fields["expires"])
        return fields


def _limits(table: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Return ``table`` without what it leaves open. Raises InvalidRequest."""
    try:
        check_allowance(table, "limits")
    except ConfigError as error:
        place = str(error).partition(":")[0]
        raise InvalidRequest(str(error), param=place if place.startswith("limits.") else "limits") from error
    if (tier := table.get("tier")) is not None and tier not in limits.tiers:
        raise InvalidRequest(f"There is no [limits.tiers.{tier}].", param="limits.tier")
    return {name: value for name, value in table.items() if value is not None}


def _moment(given: str | float) -> float:
    if not isinstance(given, str):
        return float(given)
    try:
        return time.time() + _seconds(given, "expires")
    except InvalidRequest:
        if given.startswith("-"):
            raise
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise InvalidRequest(f"{given!r} is neither a duration nor a date.", param="expires") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seconds(given: str | float, param: str) -> float:
    """Return the seconds of a duration that is not for ever."""
    try:
        seconds = parse_duration(given)
    except ValueError as error:
        raise InvalidRequest(f"{given!r} is not a duration. Write 24h, 30m or 7d.", param=param) from error
    if not 0 <= seconds < 1e11:
        raise InvalidRequest(f"{given!r} is in the past, or too far off.", param=param)
    return seconds


__all__ = ("Change", "Draft", "KeyService")
