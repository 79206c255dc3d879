"""Statements on the table of callers' files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hyperllama.database.sql import statements
from hyperllama.database.tables import batches, files
from hyperllama.spi import ENDED, KeptFile


async def add(connection: AsyncConnection, file: KeptFile, place: str) -> None:
    """Insert the row of a file whose bytes are in place."""
    row = {field: getattr(file, field) for field in KeptFile.__struct_fields__}
    row["filename"] = statements.storable(file.filename, 255)
    row["purpose"] = statements.storable(file.purpose, 32)
    await connection.execute(insert(files).values(**row, place=place))


async def lock(connection: AsyncConnection) -> None:
    """Let no other transaction insert files until this one ends."""
    await statements.take_turns(connection, "files")


async def get(connection: AsyncConnection, id: str, owner: str, *, now: float) -> KeptFile | None:
    """Return a file of the owner's; None when there is no such, or it has expired."""
    wanted = (files.c.id == statements.storable(id)) & (files.c.owner == owner)
    row = (await connection.execute(select(files).where(wanted))).one_or_none()
    return _file(row) if row is not None and (row.expires is None or row.expires > now) else None


async def page(
    connection: AsyncConnection,
    owner: str,
    *,
    now: float,
    purpose: str | None,
    after: str | None,
    limit: int,
    newest_first: bool,
) -> Sequence[KeptFile]:
    """Return at most ``limit`` of the owner's files. Raises NotFound for an unknown ``after``."""
    own = files.c.owner == owner
    own &= or_(files.c.expires.is_(None), files.c.expires > now)
    if purpose is not None:
        own &= files.c.purpose == statements.storable(purpose)
    rows = await statements.page(connection, files, own, after=after, limit=limit, newest_first=newest_first)
    return [_file(row) for row in rows]


async def used(connection: AsyncConnection, owner: str | None = None) -> tuple[int, int]:
    """Return the bytes and the number of an owner's files, or of all."""
    total = select(func.coalesce(func.sum(files.c.bytes), 0), func.count()).select_from(files)
    if owner is not None:
        total = total.where(files.c.owner == owner)
    size, count = (await connection.execute(total)).one()
    return int(size), int(count)


async def in_use(connection: AsyncConnection, id: str) -> bool:
    """Return whether a batch that has not ended reads this file."""
    using = (batches.c.input_file == id) & batches.c.status.not_in(ENDED)
    return bool(await connection.scalar(select(func.count()).select_from(batches).where(using)))


async def remove(connection: AsyncConnection, id: str) -> None:
    """Delete the row of a file."""
    await connection.execute(delete(files).where(files.c.id == id))


async def expire(connection: AsyncConnection, now: float) -> Sequence[str]:
    """Delete the rows of files that have expired and that no batch reads; return their ids."""
    used_by_batches = select(batches.c.input_file).where(batches.c.status.not_in(ENDED))
    over = (files.c.expires <= now) & files.c.id.not_in(used_by_batches)
    return (await connection.execute(delete(files).where(over).returning(files.c.id))).scalars().all()


async def ids(connection: AsyncConnection, place: str) -> set[str]:
    """Return the ids of every file whose bytes are in this folder."""
    return set(await connection.scalars(select(files.c.id).where(files.c.place == place)))


def _file(row: Row[Any]) -> KeptFile:
    return KeptFile(**{field: getattr(row, field) for field in KeptFile.__struct_fields__})


__all__ = ("add", "expire", "get", "ids", "in_use", "lock", "page", "remove", "used")
