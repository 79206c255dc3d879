"""Keys as the database holds them: never the secret, only its HMAC-SHA256 with the pepper."""

from __future__ import annotations

import base64
import hmac
import secrets as random
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Row, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hyperllama.database import audit, tables
from hyperllama.database.api_key import PREFIX, Found, Issued, Key
from hyperllama.database.audit import Act
from hyperllama.database.database import Database
from hyperllama.errors import InvalidRequest, NotFound
from hyperllama.identity import Permission

REVISION = "keys"


class KeyStore:
    """The keys of a database. Every change is in the audit log, under ``actor``, and increments :meth:`revision`.

    ``changed`` is called when a change has been committed, and before the caller hears of it; so is ``say``, with what
    stands in the audit log.
    """

    def __init__(
        self,
        database: Database,
        pepper: bytes,
        *,
        changed: Callable[[], None] = lambda: None,
        say: Callable[[Act], None] = lambda _: None,
    ) -> None:
        self._say = say
        self._database = database
        self._pepper = pepper
        self._tell = changed

    async def create(self, key: Key, *, actor: str, request_id: str = "") -> Issued:
        """Create a key with a new id and a new secret. Raises InvalidRequest when the name is in use."""
        now = time.time()
        key = msgspec.structs.replace(key, id=f"key_{uuid.uuid4().hex[:20]}", created=now, revoked=None)
        secret = _secret()
        try:
            async with self._database.begin() as connection:
                await connection.execute(insert(tables.keys).values(_row(key)))
                await connection.execute(insert(tables.secrets).values(self._secret_row(key.id, secret, now)))
                act = await _changed(connection, actor, request_id, "keys.create", key, now)
        except IntegrityError as error:
            raise InvalidRequest(
                f"There is a key named {key.name!r} already. Rotate it, or revoke it first.", param="name"
            ) from error
        self._told(act)
        return Issued(key, secret)

    async def all(self) -> list[Key]:
        """Return every key, revoked ones too, newest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(tables.keys).order_by(tables.keys.c.created.desc()))
            return [_key(row) for row in rows]

    async def get(self, name: str) -> Key:
        """Return the key of this name or id; a revoked one only by id. Raises NotFound."""
        async with self._database.read() as connection:
            return await _get(connection, name)

    async def find(self, wanted: bytes) -> Found | None:
        """Return the key whose secret has this digest; None when there is none."""
        async with self._database.read() as connection:
            columns = (tables.keys, tables.secrets.c.digest.label("digest"), tables.secrets.c.expires.label("until"))
            joined = select(*columns).join(tables.secrets, tables.secrets.c.key == tables.keys.c.id)
            row = (await connection.execute(joined.where(tables.secrets.c.digest == wanted.hex()))).one_or_none()
        if row is None or not hmac.compare_digest(bytes.fromhex(row.digest), wanted):
            return None
        key = _key(row)
        ends = [moment for moment in (row.until, key.expires) if moment is not None]
        return Found(key, min(ends) if ends else None)

    async def rotate(self, name: str, *, grace: float, actor: str, request_id: str = "") -> Issued:
        """Issue a new secret; the old ones work for ``grace`` seconds more.

        Raises NotFound, and InvalidRequest for a key that is revoked or has expired.
        """
        now = time.time()
        secret = _secret()
        async with self._database.begin() as connection:
            key = await _get(connection, name, change=True)
            if not key.live(now):
                raise InvalidRequest(f"Key {key.name!r} is revoked or has expired. Create another.", param="name")
            old = tables.secrets
            later = or_(old.c.expires.is_(None), old.c.expires > now + grace)
            await connection.execute(update(old).where(and_(old.c.key == key.id, later)).values(expires=now + grace))
            await connection.execute(insert(old).values(self._secret_row(key.id, secret, now)))
            act = await _changed(connection, actor, request_id, "keys.rotate", key, now, grace=grace)
        self._told(act)
        return Issued(key, secret)

    async def revoke(self, name: str, *, actor: str, request_id: str = "") -> Key:
        """Revoke a key: no secret of it works any more. Raises NotFound."""
        now = time.time()
        act = None
        async with self._database.begin() as connection:
            key = await _get(connection, name, change=True)
            if key.revoked is None:
                await connection.execute(update(tables.keys).where(tables.keys.c.id == key.id).values(revoked=now))
                act = await _changed(connection, actor, request_id, "keys.revoke", key, now)
        self._told(act)
        return msgspec.structs.replace(key, revoked=key.revoked or now)

    async def update(self, name: str, fields: Mapping[str, Any], *, actor: str, request_id: str = "") -> Key:
        """Change these fields of a key and return it. Raises NotFound; InvalidRequest for a revoked one."""
        now = time.time()
        async with self._database.begin() as connection:
            key = await _get(connection, name, change=True)
            if key.revoked is not None:
                raise InvalidRequest(f"Key {key.name!r} is revoked. Create another.", param="name")
            key = msgspec.structs.replace(key, **fields)
            row = {field: value for field, value in _row(key).items() if field in fields}
            await connection.execute(update(tables.keys).where(tables.keys.c.id == key.id).values(**row))
            act = await _changed(connection, actor, request_id, "keys.update", key, now, changed=sorted(fields))
        self._told(act)
        return key

    async def revision(self) -> tuple[int, bool]:
        """Return a number that grows with every change, and True if there ever was a key, even a revoked one."""
        async with self._database.read() as connection:
            number = await connection.scalar(
                select(tables.revisions.c.number).where(tables.revisions.c.name == REVISION)
            )
            some = await connection.scalar(select(func.count()).select_from(tables.keys))
        return int(number or 0), bool(some)

    def digest(self, secret: str) -> bytes:
        """Return the HMAC under which a secret is stored."""
        return hmac.digest(self._pepper, secret.encode("utf-8", "surrogateescape"), "sha256")

    def _told(self, act: Act | None) -> None:
        self._tell()
        if act is not None:
            self._say(act)

    def _secret_row(self, key: str, secret: str, now: float) -> dict[str, object]:
        return {"digest": self.digest(secret).hex(), "key": key, "created": now, "expires": None}


def _secret() -> str:
    return PREFIX + base64.urlsafe_b64encode(random.token_bytes(32)).rstrip(b"=").decode()


async def _get(connection: AsyncConnection, name: str, *, change: bool = False) -> Key:
    """Return a key by name or id; ``change`` locks it until this transaction ends, so that rotations do not overlap."""
    table = tables.keys
    by_name = and_(table.c.name == name, table.c.revoked.is_(None))
    asked = select(table).where(or_(table.c.id == name, by_name))
    row = (await connection.execute(asked.with_for_update() if change else asked)).first()
    if row is None:
        raise NotFound(f"There is no key {name!r}.")
    return _key(row)


async def _changed(
    connection: AsyncConnection, actor: str, request_id: str, act: str, key: Key, now: float, **detail: object
) -> Act:
    detail |= {"owner": key.owner, "permissions": key.permissions}
    subject = f"{key.name} ({key.id})"
    done = Act(at=now, actor=actor, request_id=request_id, act=act, subject=subject, detail=detail)
    await audit.insert(connection, done)
    table = tables.revisions
    await connection.execute(update(table).where(table.c.name == REVISION).values(number=table.c.number + 1))
    return done


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
