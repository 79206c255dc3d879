"""Statements on the table of uploads to the model store."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hyperllama.database.sql import statements
from hyperllama.database.tables import uploads


async def lock(connection: AsyncConnection, owner: str) -> None:
    """Let no other transaction record uploads of ``owner`` until this one ends."""
    await statements.take_turns(connection, owner)


async def add(connection: AsyncConnection, owner: str, digest: str, size: int) -> None:
    """Record the upload of a blob; one that is there already becomes the owner's."""
    new = statements.insert_into(connection, uploads).values(digest=digest, owner=owner, bytes=size)
    new = new.on_conflict_do_update(index_elements=["digest"], set_={"owner": owner, "bytes": size})
    await connection.execute(new)


async def sizes(connection: AsyncConnection, owner: str) -> dict[str, int]:
    """Return the bytes of the owner's uploads, by digest."""
    found = select(uploads.c.digest, uploads.c.bytes).where(uploads.c.owner == owner)
    return {row.digest: int(row.bytes) for row in await connection.execute(found)}


async def total(connection: AsyncConnection, owner: str) -> int:
    """Return the bytes of all the owner's uploads."""
    return int(await connection.scalar(select(func.sum(uploads.c.bytes)).where(uploads.c.owner == owner)) or 0)


async def remove(connection: AsyncConnection, digests: Iterable[str]) -> None:
    """Forget these uploads."""
    await connection.execute(delete(uploads).where(uploads.c.digest.in_(list(digests))))


__all__ = ("add", "lock", "remove", "sizes", "total")
