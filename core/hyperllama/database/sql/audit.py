"""Statements on the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hyperllama.database.shares import fair_share
from hyperllama.database.sql.statements import storable
from hyperllama.database.tables import audit


async def add(connection: AsyncConnection, *, at: float, texts: Mapping[str, str], detail: Mapping[str, Any]) -> None:
    """Insert one act. ``texts``: the columns actor, act, subject, outcome and request_id."""
    lengths = {"actor": 128, "act": 64, "subject": 255, "outcome": 64, "request_id": 64}
    row = {name: storable(texts[name], length) for name, length in lengths.items()}
    text = msgspec.json.encode(detail, enc_hook=str).decode()
    await connection.execute(insert(audit).values(at=at, detail=text, **row))


async def page(
    connection: AsyncConnection, *, before: int | None, limit: int, since: float | None, begins: Mapping[str, str]
) -> Sequence[Mapping[str, Any]]:
    """Return rows, newest first, with an id below ``before``. ``begins``: how columns begin; empty for any."""
    wanted = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(audit.c.id < before)
    if since is not None:
        wanted = wanted.where(audit.c.at >= since)
    for name, text in begins.items():
        if text:
            wanted = wanted.where(audit.c[name].startswith(storable(text), autoescape=True))
    rows = (await connection.execute(wanted)).mappings().all()
    return [{str(name): value for name, value in row.items()} for row in rows]  # its names are a kind of str


async def expire(connection: AsyncConnection, before: float) -> None:
    """Delete what was done before this moment."""
    await connection.execute(delete(audit).where(audit.c.at < before))


async def shorten(connection: AsyncConnection, most: int) -> None:
    """Delete the oldest acts of the actors with the most, until ``most`` are left in all."""
    if int(await connection.scalar(select(func.count()).select_from(audit)) or 0) <= most:
        return
    counts = await connection.execute(select(audit.c.actor, func.count()).group_by(audit.c.actor))
    held = {actor: int(count) for actor, count in counts}
    share = fair_share(held.values(), most)
    for actor, count in sorted(held.items()):
        if count > share:
            own = audit.c.actor == actor
            last = select(audit.c.id).where(own).order_by(audit.c.id.desc()).offset(share).limit(1)
            over = await connection.scalar(last)
            if over is not None:
                await connection.execute(delete(audit).where(own & (audit.c.id <= over)))


__all__ = ("add", "expire", "page", "shorten")
