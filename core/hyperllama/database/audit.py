"""Who did what to keys, models and the configuration, when, and how it ended: in the database and as a line of the log.

Nothing in it is a secret. Reads and inference are no acts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from hyperllama.config import Admin, parse_duration
from hyperllama.database.database import Database
from hyperllama.errors import GatewayError
from hyperllama.identity import Caller

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

SWEEP_EVERY = 600.0

log = structlog.get_logger("hyperllama.audit")


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """``act`` is ``"<noun>.<verb>"``; ``outcome`` is ``done``, ``cancelled`` or the code of an error.

    ``at`` is in unix seconds, ``id`` grows; both 0 before it is kept.
    """

    act: str
    actor: str
    subject: str
    outcome: str = "done"
    request_id: str = ""  # empty: of no request
    detail: dict[str, Any] = {}
    at: float = 0.0
    id: int = 0


class Actor(msgspec.Struct, frozen=True):
    """Who acts, and in which request."""

    name: str
    request_id: str = ""

    @classmethod
    def of(cls, caller: Caller) -> Actor:
        """The key, by the name people know and the id that stays."""
        principal = caller.principal
        if caller.protocol == "cli":
            return cls(principal.name)
        return cls(f"{principal.name} ({principal.id})" if principal.name else principal.id, caller.request_id)


class AuditLog:
    """Enter it, and what is too old is dropped from time to time."""

    def __init__(self, database: Database, settings: Admin, *, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._settings = settings
        self._wall = wall
        self._quiet = False
        self._sweeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> AuditLog:
        self._sweeper = asyncio.create_task(self._sweep_now_and_then())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    def mute(self) -> None:
        """Say nothing in the log from now on: what a command prints is its own."""
        self._quiet = True

    async def record(self, act: Act) -> None:
        """Keep it and say it. A database that does not answer fails no act: the log has it."""
        if not self._quiet:
            say(act)
        try:
            async with self._database.begin() as connection:
                await insert(connection, msgspec.structs.replace(act, at=self._wall()))
        except Exception as error:  # noqa: BLE001 - whatever a database says
            log.warning("an act is not in the database", act=act.act, reason=type(error).__name__)

    @asynccontextmanager
    async def watching(
        self, act: str, subject: str, actor: Actor, *, done: bool = True, **detail: object
    ) -> AsyncGenerator[None, None]:
        """Record how the block ends; ``done=False``: only when it fails, since what succeeds records itself."""
        outcome = "done"
        try:
            yield
        except GatewayError as error:
            outcome = error.code
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except BaseException:
            outcome = "internal_error"
            raise
        finally:
            if done or outcome != "done":
                kept = Act(
                    act=act,
                    actor=actor.name,
                    subject=subject,
                    outcome=outcome,
                    request_id=actor.request_id,
                    detail=detail,
                )
                await asyncio.shield(self.record(kept))

    async def page(
        self,
        *,
        before: int | None = None,
        limit: int = 100,
        since: float | None = None,
        actor: str = "",
        act: str = "",
        subject: str = "",
    ) -> Sequence[Act]:
        """Newest first, from the one before ``before`` on; ``actor``, ``act``, ``subject``: those that begin so."""
        from sqlalchemy import select

        from hyperllama.database.tables import audit

        asked = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if before is not None:
            asked = asked.where(audit.c.id < before)
        if since is not None:
            asked = asked.where(audit.c.at >= since)
        for column, text in ((audit.c.actor, actor), (audit.c.act, act), (audit.c.subject, subject)):
            if text:
                asked = asked.where(column.startswith(text, autoescape=True))
        async with self._database.begin() as connection:
            rows = (await connection.execute(asked)).mappings().all()
        return [_act(row) for row in rows]

    async def sweep(self) -> None:
        """Drop what is too old, and the oldest of too many. Raises what the database raises."""
        from sqlalchemy import delete, select

        from hyperllama.database.tables import audit

        life = parse_duration(self._settings.audit_keep)
        async with self._database.begin() as connection:
            if life != float("inf"):
                await connection.execute(delete(audit).where(audit.c.at < self._wall() - life))
            last = select(audit.c.id).order_by(audit.c.id.desc()).offset(self._settings.audit_max).limit(1)
            over = await connection.scalar(last)
            if over is not None:
                await connection.execute(delete(audit).where(audit.c.id <= over))

    async def _sweep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            if self._database.exists:
                try:
                    await self.sweep()
                except Exception as error:  # noqa: BLE001 - it is tried again
                    log.warning("the audit log is not tidied", reason=type(error).__name__)


async def insert(connection: AsyncConnection, act: Act) -> None:
    """Keep ``act`` in this transaction."""
    from sqlalchemy import insert as insert_into

    from hyperllama.database.tables import audit

    await connection.execute(
        insert_into(audit).values(
            at=act.at,
            actor=act.actor[:128],
            act=act.act[:64],
            subject=act.subject[:255],
            outcome=act.outcome[:64],
            request_id=act.request_id[:64],
            detail=msgspec.json.encode(act.detail).decode(),
        )
    )


def say(act: Act) -> None:
    """The line of the log."""
    said = {"actor": act.actor, "subject": act.subject, "outcome": act.outcome, "request_id": act.request_id}
    log.info(act.act, **{name: value for name, value in said.items() if value}, **act.detail)


def _act(row: Mapping[Any, Any]) -> Act:
    fields = {str(name): value for name, value in row.items()}  # SQLAlchemy's names are a kind of str
    return msgspec.convert({**fields, "detail": msgspec.json.decode(fields["detail"])}, Act)


__all__ = ("Act", "Actor", "AuditLog", "insert", "say")
