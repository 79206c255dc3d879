"""Statements on the table of records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Row, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hyperllama.database.shares import fair_share
from hyperllama.database.sql import statements
from hyperllama.database.tables import records
from hyperllama.spi import Record

AT_ONCE = 500  # rows deleted by one statement


async def apply(connection: AsyncConnection, changes: Mapping[tuple[str, str, str], Record | None]) -> None:
    """Write records by (kind, id, owner); None: delete that one."""
    for (kind, name, owner), change in sorted(changes.items(), key=itemgetter(0)):  # one order: no dead-locks
        if change is None:
            own = (records.c.kind == kind) & (records.c.id == name) & (records.c.owner == owner)
            await connection.execute(delete(records).where(own))
            continue
        new = statements.insert_into(connection, records)
        new = new.on_conflict_do_update(
            index_elements=["kind", "id"],
            set_={column: new.excluded[column] for column in ("created", "expires", "body")},
            where=records.c.owner == new.excluded.owner,
        )
        await connection.execute(new, [_values(change)])


async def get(connection: AsyncConnection, kind: str, id: str, owner: str) -> Record | None:
    """Return the owner's record, expired or not; None when there is no such."""
    wanted = (records.c.kind == kind) & (records.c.id == statements.storable(id)) & (records.c.owner == owner)
    row = (await connection.execute(select(records).where(wanted))).one_or_none()
    return _record(row) if row is not None else None


async def page(
    connection: AsyncConnection,
    kind: str,
    owner: str,
    *,
    now: float,
    after: str | None,
    limit: int,
    newest_first: bool,
) -> Sequence[Record]:
    """Return at most ``limit`` of the owner's records. Raises NotFound for an unknown ``after``."""
    own = (records.c.kind == kind) & (records.c.owner == owner)
    own &= or_(records.c.expires.is_(None), records.c.expires > now)
    rows = await statements.page(connection, records, own, after=after, limit=limit, newest_first=newest_first)
    return [_record(row) for row in rows]


async def expire(connection: AsyncConnection, now: float) -> None:
    """Delete what has expired."""
    await connection.execute(delete(records).where(records.c.expires <= now))


async def held(connection: AsyncConnection, owners: Sequence[str] | None = None) -> dict[str, tuple[int, int]]:
    """Return the bytes and the number of records of each of ``owners``, or of everybody."""
    sums = select(records.c.owner, func.sum(func.length(records.c.body)), func.count()).group_by(records.c.owner)
    if owners is not None:
        kinds = select(records.c.kind).distinct()  # the index begins with the kind
        sums = sums.where(records.c.kind.in_(kinds) & records.c.owner.in_(owners))
    return {owner: (int(size), int(count)) for owner, size, count in await connection.execute(sums)}


async def shorten(connection: AsyncConnection, owner: str, *, max_bytes: int, max_count: int) -> int:
    """Delete the owner's oldest records until the rest is within both bounds; return how many went."""
    columns = (records.c.kind, records.c.id, func.length(records.c.body))
    newest = select(*columns).where(records.c.owner == owner).order_by(records.c.created.desc(), records.c.id.desc())
    size = 0
    dropped: dict[str, list[str]] = {}
    for count, (kind, name, length) in enumerate(await connection.execute(newest), 1):
        size += int(length)
        if size > max_bytes or count > max_count:
            dropped.setdefault(kind, []).append(name)
    for kind, names in dropped.items():
        for start in range(0, len(names), AT_ONCE):
            some = records.c.id.in_(names[start : start + AT_ONCE])
            await connection.execute(delete(records).where((records.c.kind == kind) & some))
    return sum(map(len, dropped.values()))


async def shorten_all(connection: AsyncConnection, *, max_bytes: int, max_key_bytes: int, max_key_count: int) -> int:
    """Bring every owner within its bounds and all together within ``max_bytes``; return how many records went.

    Where all together are too much, the oldest of the owners who hold most are dropped: an owner of less than an equal
    share of ``max_bytes`` loses nothing.
    """
    sizes = await held(connection)
    share = min(fair_share((min(size, max_key_bytes) for size, _ in sizes.values()), max_bytes), max_key_bytes)
    dropped = 0
    for owner, (size, count) in sorted(sizes.items()):
        if size > share or count > max_key_count:
            dropped += await shorten(connection, owner, max_bytes=share, max_count=max_key_count)
    return dropped


def _values(record: Record) -> dict[str, Any]:
    return {
        "kind": record.kind,
        "id": record.id,
        "owner": record.owner,
        "created": record.created,
        "expires": None if math.isinf(record.expires) else record.expires,
        "body": record.body,
    }


def _record(row: Row[Any]) -> Record:
    return Record(
        kind=row.kind,
        id=row.id,
        owner=row.owner,
        created=row.created,
        expires=math.inf if row.expires is None else row.expires,
        body=bytes(row.body),
    )


__all__ = ("apply", "expire", "get", "held", "page", "shorten", "shorten_all")
