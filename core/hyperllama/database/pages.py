"""Lists in pieces: what belongs to an owner, in order of creation, from a place on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperllama.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Row, Table
    from sqlalchemy.ext.asyncio import AsyncConnection


async def page(
    connection: AsyncConnection,
    table: Table,
    own: ColumnElement[bool],
    *,
    after: str | None,
    limit: int,
    newest_first: bool,
) -> Sequence[Row[Any]]:
    """At most ``limit`` rows that are ``own``, by ``created`` and ``id``. Raises NotFound for an unknown ``after``."""
    from sqlalchemy import and_, or_, select

    created, key = table.c.created, table.c.id
    if after is not None:
        start = await connection.scalar(select(created).where(own & (key == after)))
        if start is None:
            raise NotFound(f"there is no '{after[:80]}' to go on after", param="after")
        beyond = (created < start, key < after) if newest_first else (created > start, key > after)
        own = and_(own, or_(beyond[0], and_(created == start, beyond[1])))
    order = (created.desc(), key.desc()) if newest_first else (created, key)
    return (await connection.execute(select(table).where(own).order_by(*order).limit(limit))).all()


__all__ = ("page",)
