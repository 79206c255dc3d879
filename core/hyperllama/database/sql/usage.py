"""Statements on the table of usage."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hyperllama.database.sql.statements import insert_into, storable
from hyperllama.database.tables import usage
from hyperllama.database.usage import COUNTS, UsageRow


async def add(connection: AsyncConnection, rows: Sequence[UsageRow]) -> None:
    """Add the counts of ``rows`` to those of their day, key and model."""
    values = [
        msgspec.structs.asdict(row)
        | {"key": storable(row.key, 128), "model": storable(row.model, 512), "name": storable(row.name, 128)}
        for row in sorted(rows, key=attrgetter("day", "key", "model"))  # one order: two gateways never dead-lock
    ]
    new = insert_into(connection, usage)
    sums = {count: usage.c[count] + new.excluded[count] for count in COUNTS}
    new = new.on_conflict_do_update(index_elements=["day", "key", "model"], set_={**sums, "name": new.excluded.name})
    await connection.execute(new, values)


async def totals(connection: AsyncConnection, since: str) -> dict[str, dict[str, tuple[int, int]]]:
    """Return by key and day the requests and tokens from the day ``since`` on."""
    tokens = func.sum(usage.c.prompt_tokens + usage.c.completion_tokens)
    days = select(usage.c.key, usage.c.day, func.sum(usage.c.requests), tokens)
    days = days.where(usage.c.day >= since).group_by(usage.c.key, usage.c.day)
    stored: dict[str, dict[str, tuple[int, int]]] = {}
    for key, day, requests, used in await connection.execute(days):
        stored.setdefault(key, {})[day] = int(requests), int(used)
    return stored


async def report(connection: AsyncConnection, *, since: str, until: str, by: Sequence[str]) -> list[dict[str, Any]]:
    """Return sums of the days ``since`` to ``until``, both included, grouped by the given columns, or ``month``."""
    month = func.substr(usage.c.day, 1, 7).label("day")
    groups = [month if column == "month" else usage.c[column] for column in by]
    sums = [func.sum(usage.c[count]).label(count) for count in COUNTS]
    query = (
        select(*groups, func.max(usage.c.name).label("name"), *sums)
        .where(usage.c.day >= storable(since), usage.c.day <= storable(until))
        .group_by(*groups)
        .order_by(*groups)
    )
    rows = (await connection.execute(query)).mappings().all()
    return [
        # PostgreSQL's sums are Decimals.
        {str(name): value if isinstance(value, str) else int(str(value or 0)) for name, value in row.items()}
        for row in rows
    ]


__all__ = ("add", "report", "totals")
