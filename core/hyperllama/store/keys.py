"""Keys as the database holds them: never the secret, only its HMAC-SHA256 with the pepper."""

from __future__ import annotations

import base64
import hmac
import secrets as random
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Row, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hyperllama.errors import InvalidRequest, NotFound
from hyperllama.identity import Permission
from hyperllama.store import tables
from hyperllama.store.database import Database

PREFIX = "hlg_"
REVISION = "keys"


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
    """Whose secret it is; ``until``: the moment it stops working whatever happens, None: it does not."""

    key: Key
    until: float | None


class KeyStore:
    """Keys in a database. Every change is in the audit log, under ``actor``, and raises the revision others watch.

    ``changed`` is called when a change has been committed, and before the caller hears of it.
    """

    def __init__(self, database: Database, pepper: bytes, *, changed: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._pepper = pepper
        self._tell = changed

    async def create(self, key: Key, *, actor: str) -> Issued:
        """Give it an id and a secret. Raises InvalidRequest when the name is in use."""
        now = time.time()
        key = msgspec.structs.replace(key, id=f"key_{uuid.uuid4().hex[:20]}", created=now, revoked=None)
        secret = _secret()
        try:
            async with self._database.begin() as connection:
                await connection.execute(insert(tables.keys).values(_row(key)))
                await connection.execute(insert(tables.secrets).values(self._secret_row(key.id, secret, now)))
                await _changed(connection, actor, "keys.create", key, now)
        except IntegrityError as error:
            raise InvalidRequest(
                f"there is a key named {key.name!r} already; rotate it, or revoke it first", param="name"
            ) from error
        self._tell()
        return Issued(key, secret)

    async def all(self) -> list[Key]:
        """Every key, revoked ones too, newest first."""
        async with self._database.begin() as connection:
            rows = await connection.execute(select(tables.keys).order_by(tables.keys.c.created.desc()))
            return [_key(row) for row in rows]

    async def get(self, name: str) -> Key:
        """By name or id; a revoked one only by id. Raises NotFound."""
        async with self._database.begin() as connection:
            return await _get(connection, name)

    async def find(self, wanted: bytes) -> Found | None:
        """Whose secret has this digest; None: nobody's."""
        async with self._database.begin() as connection:
            columns = (tables.keys, tables.secrets.c.digest.label("digest"), tables.secrets.c.expires.label("until"))
            joined = select(*columns).join(tables.secrets, tables.secrets.c.key == tables.keys.c.id)
            row = (await connection.execute(joined.where(tables.secrets.c.digest == wanted.hex()))).one_or_none()
        if row is None or not hmac.compare_digest(bytes.fromhex(row.digest), wanted):
            return None
        key = _key(row)
        ends = [moment for moment in (row.until, key.expires) if moment is not None]
        return Found(key, min(ends) if ends else None)

    async def rotate(self, name: str, *, grace: float, actor: str) -> Issued:
        """A new secret; the old ones work for ``grace`` seconds more. Raises NotFound."""
        now = time.time()
        secret = _secret()
        async with self._database.begin() as connection:
            key = await _get(connection, name)
            if not key.live(now):
                raise InvalidRequest(f"key {key.name!r} is revoked or has expired; create another", param="name")
            old = tables.secrets
            later = or_(old.c.expires.is_(None), old.c.expires > now + grace)
            await connection.execute(update(old).where(and_(old.c.key == key.id, later)).values(expires=now + grace))
            await connection.execute(insert(old).values(self._secret_row(key.id, secret, now)))
            await _changed(connection, actor, "keys.rotate", key, now)
        self._tell()
        return Issued(key, secret)

    async def revoke(self, name: str, *, actor: str) -> Key:
        """No secret of it works any more. Raises NotFound."""
        now = time.time()
        async with self._database.begin() as connection:
            key = await _get(connection, name)
            if key.revoked is None:
                await connection.execute(update(tables.keys).where(tables.keys.c.id == key.id).values(revoked=now))
                await _changed(connection, actor, "keys.revoke", key, now)
        self._tell()
        return msgspec.structs.replace(key, revoked=key.revoked or now)

    async def revision(self) -> tuple[int, bool]:
        """A number that grows with every change, and whether there ever was a key: the last one's end opens no door."""
        async with self._database.begin() as connection:
            number = await connection.scalar(
                select(tables.revisions.c.number).where(tables.revisions.c.name == REVISION)
            )
            some = await connection.scalar(select(func.count()).select_from(tables.keys))
        return int(number or 0), bool(some)

    def digest(self, secret: str) -> bytes:
        """What is kept of a secret."""
        return hmac.digest(self._pepper, secret.encode("utf-8", "surrogateescape"), "sha256")

    def _secret_row(self, key: str, secret: str, now: float) -> dict[str, object]:
        return {"digest": self.digest(secret).hex(), "key": key, "created": now, "expires": None}


def _secret() -> str:
    return PREFIX + base64.urlsafe_b64encode(random.token_bytes(32)).rstrip(b"=").decode()


async def _get(connection: AsyncConnection, name: str) -> Key:
    table = tables.keys
    by_name = and_(table.c.name == name, table.c.revoked.is_(None))
    row = (await connection.execute(select(table).where(or_(table.c.id == name, by_name)))).first()
    if row is None:
        raise NotFound(f"there is no key {name!r}")
    return _key(row)


async def _changed(connection: AsyncConnection, actor: str, act: str, key: Key, now: float) -> None:
    detail = msgspec.json.encode({"owner": key.owner, "permissions": key.permissions}).decode()
    await connection.execute(
        insert(tables.audit).values(at=now, actor=actor, act=act, subject=f"{key.name} ({key.id})", detail=detail)
    )
    table = tables.revisions
    await connection.execute(update(table).where(table.c.name == REVISION).values(number=table.c.number + 1))


def _row(key: Key) -> dict[str, object]:
    row = msgspec.structs.asdict(key)
    for column in ("permissions", "models", "limits"):
        row[column] = msgspec.json.encode(row[column]).decode() if row[column] is not None else None
    return row


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        owner=row.owner,
        permissions=msgspec.json.decode(row.permissions, type=tuple[Permission, ...]),
        models=msgspec.json.decode(row.models, type=tuple[str, ...]) if row.models is not None else None,
        limits=msgspec.json.decode(row.limits, type=dict[str, Any]),
        weight=row.weight,
        priority=row.priority,
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
    )


__all__ = ("PREFIX", "Found", "Issued", "Key", "KeyStore")
