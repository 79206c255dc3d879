"""The log of acts on keys, models and the configuration: who, when, and how it ended; in the database and as log lines.

Nothing in it is a secret. Reads and inference are no acts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from hyperllama.config import Admin
from hyperllama.database import sql
from hyperllama.database.database import Database
from hyperllama.database.write_behind import WriteBehind
from hyperllama.errors import GatewayError
from hyperllama.identity import Caller

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

SWEEP_EVERY = 600.0
SWEEP_WITHIN = 60.0

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
    """The actor of an act, and the request it happened in."""

    name: str
    request_id: str = ""

    @classmethod
    def of(cls, caller: Caller) -> Actor:
        """Return the actor of a caller: its key, by the name people know and the id that stays."""
        principal = caller.principal
        if caller.protocol == "cli":
            return cls(principal.name)
        return cls(f"{principal.name} ({principal.id})" if principal.name else principal.id, caller.request_id)


class AuditLog:
    """The audit log. While it is entered, acts that are too old are dropped from time to time.

    Of too many acts the oldest of the actors with the most are dropped: one actor's cannot push out the others'.
    """

    def __init__(self, database: Database, settings: Admin, *, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._settings = settings
        self._wall = wall
        self._quiet = False
        self._recorded = 0  # since the last sweep
        self._sweeper = WriteBehind(self.sweep, "the audit log is not tidied", at_least=lambda: SWEEP_EVERY)

    async def __aenter__(self) -> AuditLog:
        await self._sweeper.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sweeper.stop()

    def mute(self) -> None:
        """Write nothing to the log from now on: what a command prints is its own."""
        self._quiet = True

    async def record(self, act: Act) -> None:
        """Write ``act`` to the log and to the database. Never raises for a database: the log has the act."""
        if not self._quiet:
            say(act)
        try:
            async with self._database.begin() as connection:
                await insert(connection, msgspec.structs.replace(act, at=self._wall()))
        except Exception as error:  # noqa: BLE001 - whatever a database says
            log.warning("an act is not in the database", act=act.act, reason=type(error).__name__)
            return
        self._recorded += 1
        if self._recorded > self._settings.audit_max // 10:
            self._sweeper.wake()

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
        """Return acts, newest first, with an id below ``before``; ``actor``, ``act``, ``subject``: how theirs begin."""
        begins = {"actor": actor, "act": act, "subject": subject}
        async with self._database.read() as connection:
            rows = await sql.audit.page(connection, before=before, limit=limit, since=since, begins=begins)
        return [msgspec.convert({**row, "detail": msgspec.json.decode(row["detail"])}, Act) for row in rows]

    async def sweep(self) -> None:
        """Drop what is too old, and the oldest of too many. Raises what the database raises."""
        if not self._database.exists:
            return
        life = self._settings.audit_keep
        async with self._database.begin(within=SWEEP_WITHIN) as connection:
            if life != float("inf"):
                await sql.audit.expire(connection, self._wall() - life)
            await sql.audit.shorten(connection, self._settings.audit_max)
        self._recorded = 0


async def insert(connection: AsyncConnection, act: Act) -> None:
    """Insert ``act`` in this transaction."""
    texts = {name: getattr(act, name) for name in ("actor", "act", "subject", "outcome", "request_id")}
    await sql.audit.add(connection, at=act.at, texts=texts, detail=act.detail)


def say(act: Act) -> None:
    """Log ``act``."""
    texts = {"actor": act.actor, "subject": act.subject, "outcome": act.outcome, "request_id": act.request_id}
    log.info(act.act, **{name: value for name, value in texts.items() if value}, **act.detail)


__all__ = ("Act", "Actor", "AuditLog", "insert", "say")
