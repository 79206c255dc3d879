"""Parts shared by the statements of several tables: upserts, pages, and texts that both databases take."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, and_, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from hyperllama.errors import NotFound


def insert_into(connection: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that has ``on_conflict_do_update``, for the database of ``connection``."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


async def take_turns(connection: AsyncConnection, what: str) -> None:
    """Wait until no other transaction works on ``what``. Only PostgreSQL has several that write at a time."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(what))))


async def page(
    connection: AsyncConnection,
    table: Table,
    own: ColumnElement[bool],
    *,
    after: str | None,
    limit: int,
    newest_first: bool,
) -> Sequence[Row[Any]]:
    """Return at most ``limit`` rows that are ``own``, by ``created`` and ``id``, from the one behind ``after`` on.

    Raises NotFound for an unknown ``after``.
    """
    created, key = table.c.created, table.c.id
    if after is not None:
        start = await connection.scalar(select(created).where(own & (key == storable(after))))
        if start is None:
            raise NotFound(f"there is no '{after[:80]}' to go on after", param="after")
        beyond = (created < start, key < after) if newest_first else (created > start, key > after)
        own = and_(own, or_(beyond[0], and_(created == start, beyond[1])))
    order = (created.desc(), key.desc()) if newest_first else (created, key)
    return (await connection.execute(select(table).where(own).order_by(*order).limit(limit))).all()


def storable(text: str, length: int | None = None) -> str:
    """Return ``text`` as both databases take it: without NUL and lone surrogates, at most ``length`` characters.

    A longer one ends in a digest of the whole, so that two that begin alike stay two.
    """
    clean = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if length is None or len(clean) <= length:
        return clean
    mark = f"~{sha256(clean.encode()).hexdigest()[:16]}"
    return clean[: length - len(mark)] + mark


__all__ = ("insert_into", "page", "storable", "take_turns")
