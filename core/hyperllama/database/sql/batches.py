"""Statements on the tables of batches and of their lines' results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hyperllama.database.sql import statements
from hyperllama.database.tables import batch_results as results
from hyperllama.database.tables import batches
from hyperllama.generation import Usage
from hyperllama.identity import Principal
from hyperllama.spi import ENDED, Batch, BatchResult

_JSON = ("errors", "notes", "moments", "usage")
_OPEN = batches.c.status.not_in(ENDED)


async def add(
    connection: AsyncConnection, batch: Batch, principal: Principal, *, place: str, output_life: float | None
) -> None:
    """Insert a batch."""
    row = {field: getattr(batch, field) for field in Batch.__struct_fields__}
    row |= {field: _text(row[field]) for field in _JSON}
    more = {"principal": _text(principal), "place": place, "output_life": output_life}
    await connection.execute(insert(batches).values(**row, **more))


async def lock(connection: AsyncConnection) -> None:
    """Let no other transaction insert batches until this one ends."""
    await statements.take_turns(connection, "batches")


async def count_open(connection: AsyncConnection, owner: str | None = None) -> int:
    """Return how many batches have not ended, of one owner or of all."""
    wanted = _OPEN if owner is None else _OPEN & (batches.c.owner == owner)
    return int(await connection.scalar(select(func.count()).select_from(batches).where(wanted)) or 0)


async def get(
    connection: AsyncConnection,
    id: str,
    owner: str | None = None,
    *,
    protocol: str | None = None,
    change: bool = False,
) -> Batch | None:
    """Return a batch, of one owner and protocol or of any; ``change``: it stays as it is until the transaction ends."""
    row = await _row(connection, id, owner, protocol, change=change)
    return _batch(row) if row is not None else None


async def output_life(connection: AsyncConnection, id: str) -> float | None:
    """Return how many seconds its results are to be kept; None when the client did not say."""
    life = await connection.scalar(select(batches.c.output_life).where(batches.c.id == id))
    return float(life) if life is not None else None


async def page(
    connection: AsyncConnection,
    owner: str,
    *,
    protocol: str | None,
    after: str | None,
    before: str | None,
    limit: int,
) -> Sequence[Batch]:
    """Return at most ``limit`` batches of an owner, newest first: those after ``after``, or the last before ``before``.

    Raises NotFound without that one.
    """
    own = batches.c.owner == owner
    if protocol is not None:
        own &= batches.c.protocol == protocol
    start, back = (after, False) if before is None else (before, True)
    rows = await statements.page(connection, batches, own, after=start, limit=limit, newest_first=not back)
    return [_batch(row) for row in (reversed(rows) if back else rows)]


async def states(connection: AsyncConnection, place: str) -> Counter[str]:
    """Return how many batches of this folder that have not ended are in each state."""
    counts = select(batches.c.status, func.count()).where((batches.c.place == place) & _OPEN).group_by(batches.c.status)
    return Counter({status: int(count) for status, count in (await connection.execute(counts)).all()})


async def due(
    connection: AsyncConnection, place: str, *, each: int, limit: int, now: float
) -> Sequence[tuple[Batch, Principal]]:
    """Return the oldest ``each`` of every owner that have not ended, and all that are to end, with who made them."""
    rank = func.row_number().over(partition_by=batches.c.owner, order_by=(batches.c.created, batches.c.id))
    ranked = select(batches.c.id, rank.label("rank")).where((batches.c.place == place) & _OPEN).subquery()
    to_end = or_(batches.c.status == "cancelling", batches.c.expires <= now)
    wanted = (
        select(batches)
        .join(ranked, ranked.c.id == batches.c.id)
        .where(or_(ranked.c.rank <= each, to_end))
        .order_by(ranked.c.rank, batches.c.created, batches.c.id)
        .limit(limit)
    )
    rows = (await connection.execute(wanted)).all()
    return [(_batch(row), msgspec.json.decode(row.principal, type=Principal)) for row in rows]


async def change(connection: AsyncConnection, before: Batch, after: Batch) -> bool:
    """Write a change of state; False when the batch is in another state than ``before`` by now."""
    fields = ("status", "output_file", "error_file", "total")
    values = {field: getattr(after, field) for field in fields}
    values |= {field: _text(getattr(after, field)) for field in ("errors", "moments")}
    values["model"] = statements.storable(after.model, 255)
    same = (batches.c.id == before.id) & (batches.c.status == before.status)
    return bool((await connection.execute(update(batches).where(same).values(**values))).rowcount)


async def lines_done(connection: AsyncConnection, id: str) -> set[int]:
    """Return the numbers of the lines that have a result."""
    return set(await connection.scalars(select(results.c.line).where(results.c.batch == id)))


async def add_results(
    connection: AsyncConnection, id: str, new: Mapping[int, BatchResult]
) -> Mapping[int, BatchResult]:
    """Insert results of lines and count them; return those that are new, since a line keeps its first."""
    mine = batches.c.id == id
    before = await connection.scalar(select(batches.c.usage).where(mine).with_for_update())
    there = select(results.c.line).where((results.c.batch == id) & results.c.line.in_(list(new)))
    known = set(await connection.scalars(there))
    new = {number: result for number, result in sorted(new.items()) if number not in known}
    if not new:
        return new
    rows = [{"batch": id, "line": n, "failed": int(r.failed), "body": r.line} for n, r in new.items()]
    await connection.execute(insert(results), rows)
    used = [msgspec.structs.astuple(result.usage) for result in new.values()]
    total = msgspec.structs.astuple(msgspec.json.decode(before or "[]", type=Usage))
    failed = sum(result.failed for result in new.values())
    values = {
        "completed": batches.c.completed + len(new) - failed,
        "failed": batches.c.failed + failed,
        "unrun": batches.c.unrun + sum(result.unrun for result in new.values()),
        "usage": _text([sum(counts) for counts in zip(total, *used, strict=True)]),
    }
    await connection.execute(update(batches).where(mine).values(**values))
    return new


async def result_lines(
    connection: AsyncConnection, id: str, *, failed: bool, behind: int, limit: int
) -> Sequence[tuple[int, bytes]]:
    """Return at most ``limit`` lines of one of its files, in order, behind line ``behind``."""
    wanted = (results.c.batch == id) & (results.c.failed == int(failed)) & (results.c.line > behind)
    columns = select(results.c.line, results.c.body).where(wanted).order_by(results.c.line).limit(limit)
    return [(row.line, bytes(row.body)) for row in await connection.execute(columns)]


async def remove_results(connection: AsyncConnection, id: str) -> None:
    """Delete the results of a batch, whose files hold them now."""
    await connection.execute(delete(results).where(results.c.batch == id))


async def remove(connection: AsyncConnection, id: str) -> None:
    """Delete a batch with the results of its lines."""
    await remove_results(connection, id)
    await connection.execute(delete(batches).where(batches.c.id == id))


async def forget(connection: AsyncConnection, *, before: float | None, each: int) -> None:
    """Delete batches that ended and were made ``before``, and of every owner all but the newest ``each`` that ended."""
    ended = batches.c.status.in_(ENDED)
    if before is not None:
        await connection.execute(delete(batches).where(ended & (batches.c.created < before)))
    rank = func.row_number().over(partition_by=batches.c.owner, order_by=(batches.c.created.desc(), batches.c.id))
    ranked = select(batches.c.id, rank.label("rank")).where(ended).subquery()
    over: ColumnElement[bool] = batches.c.id.in_(select(ranked.c.id).where(ranked.c.rank > each))
    await connection.execute(delete(batches).where(over))


async def _row(
    connection: AsyncConnection, id: str, owner: str | None, protocol: str | None, *, change: bool
) -> Row[Any] | None:
    which = batches.c.id == statements.storable(id)
    if owner is not None:
        which &= batches.c.owner == owner
    if protocol is not None:
        which &= batches.c.protocol == protocol
    wanted = select(batches).where(which)
    return (await connection.execute(wanted.with_for_update() if change else wanted)).one_or_none()


def _text(value: object) -> str:
    """Return JSON that PostgreSQL takes: a NUL is escaped in it, a lone surrogate cannot be encoded."""
    return msgspec.json.encode(value).decode()


def _batch(row: Row[Any]) -> Batch:
    fields = {field: getattr(row, field) for field in Batch.__struct_fields__}
    return msgspec.convert(fields | {field: msgspec.json.decode(fields[field]) for field in _JSON}, Batch)


__all__ = (
    "add",
    "add_results",
    "change",
    "count_open",
    "due",
    "forget",
    "get",
    "lines_done",
    "lock",
    "output_life",
    "page",
    "remove",
    "remove_results",
    "result_lines",
    "states",
)
