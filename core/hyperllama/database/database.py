"""The gateway's database: SQLite in the store, or PostgreSQL by URL; opened and brought up to date at first need."""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from hyperllama.database import sql
from hyperllama.errors import GatewayError, Unavailable
from hyperllama.system.files import create_folder, open_locked

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

HEAD = "0004"  # the newest migration; a test keeps it so
FILE = "gateway.db"
WITHIN = 3.5  # seconds a request waits for its transaction before the connection is cut
GRACE = 0.5  # and seconds that a cut connection has to fail by itself
OPENING = 30.0  # seconds a request waits for a migration
MIGRATION = 600.0
TURN = 0.05  # seconds between two tries for the lock
COMPLAIN_EVERY = 60.0

log = structlog.get_logger(__name__)


class Database:
    """A database, cheap to make: nothing is imported, opened or created before its first use.

    ``url``: ``postgresql://user@host/name``; empty: a file in ``directory``, readable by its owner alone.
    """

    def __init__(self, directory: Path, url: str = "") -> None:
        self._directory = directory
        self._url = _driver(url) if url else ""
        self._engine: AsyncEngine | None = None
        self._opening: asyncio.Task[AsyncEngine] | None = None
        self._writer = asyncio.Lock()  # SQLite has one transaction that writes; in here they take turns
        self._complained = float("-inf")

    @property
    def file(self) -> Path | None:
        """The SQLite file in the store; None for a database named by URL."""
        return None if self._url else self._directory / FILE

    @property
    def exists(self) -> bool:
        """True if there may be anything in it: its file exists, or it is on a server."""
        return self.file is None or self.file.exists()

    @asynccontextmanager
    async def begin(self, *, within: float = WITHIN) -> AsyncGenerator[AsyncConnection, None]:
        """Begin a transaction: committed at the end, rolled back on an exception. Not to be nested.

        Raises Unavailable when the database does not answer ``within`` so many seconds, or is locked so long by
        another process; StorageFull when its disk is. Neither leaves anything of the transaction.
        """
        end = asyncio.get_running_loop().time() + within  # the turn and the transaction together
        async with AsyncExitStack() as stack:
            if self.file is not None:
                try:
                    async with asyncio.timeout_at(end):
                        await stack.enter_async_context(self._writer)
                except TimeoutError as error:
                    raise Unavailable("The gateway's database is busy.", retry_after=GRACE) from error
            yield await stack.enter_async_context(self._transaction(end, read_only=False))

    @asynccontextmanager
    async def read(self, *, within: float = WITHIN) -> AsyncGenerator[AsyncConnection, None]:
        """Begin a transaction that only reads; the same errors as :meth:`begin`."""
        end = asyncio.get_running_loop().time() + within
        async with self._transaction(end, read_only=True) as connection:
            yield connection

    async def open(self) -> AsyncEngine:
        """Return the engine, with the schema up to date. Raises ConfigError, Unavailable, StorageFull."""
        if self._engine is not None:
            return self._engine
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="database")
            self._opening.add_done_callback(self._opened)
        try:
            async with asyncio.timeout(OPENING):
                return await asyncio.shield(self._opening)
        except TimeoutError as error:
            raise Unavailable("The gateway's database is being prepared.", retry_after=OPENING) from error

    async def close(self) -> None:
        """Close every connection; a later use opens again."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        engine, self._engine = self._engine, None
        if engine is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(WITHIN):
                    await engine.dispose()

    @asynccontextmanager
    async def _transaction(self, end: float, *, read_only: bool) -> AsyncGenerator[AsyncConnection, None]:
        loop = asyncio.get_running_loop()
        left = end - loop.time()
        engine = await self.open()
        end = loop.time() + left  # a migration has a time of its own
        engine = sql.engine.until(engine, seconds=left, read_only=read_only)
        cut: asyncio.TimerHandle | None = None
        try:
            with self._explaining():
                async with asyncio.timeout_at(end + GRACE), engine.begin() as connection:
                    cut = loop.call_at(end, sql.engine.abort, connection)
                    yield connection
        finally:
            if cut is not None:
                cut.cancel()

    async def _open(self) -> AsyncEngine:
        await asyncio.to_thread(sql.load)  # a quarter of a second
        with self._explaining():
            if self.file is not None:
                await asyncio.to_thread(_create, self.file)
            engine = sql.engine.create(self._url or f"sqlite+aiosqlite:///{self.file}")
            try:
                async with asyncio.timeout(WITHIN):
                    found = await sql.engine.revision(engine)
                if found != HEAD:
                    await self._migrate(engine)
            except BaseException:
                with suppress(TimeoutError):
                    async with asyncio.timeout(GRACE):
                        await engine.dispose()
                raise
        self._engine = engine
        return engine

    @contextmanager
    def _explaining(self) -> Generator[None, None, None]:
        """Raise the gateway's own error for one of the database's; let all others pass."""
        try:
            yield
        except GatewayError:
            raise
        except Exception as error:
            explained = sql.engine.explain(error)
            if explained is None:
                raise
            self._complain(error)
            raise explained from error

    async def _migrate(self, engine: AsyncEngine) -> None:
        await asyncio.to_thread(importlib.import_module, "hyperllama.database.schema")
        from hyperllama.database import schema

        # Two gateways that start together migrate one after the other; Alembic's own state is one for the process.
        path = self._directory / f"{FILE}.lock"
        async with asyncio.timeout(MIGRATION):
            while (lock := await asyncio.to_thread(open_locked, path, wait=False)) is None:  # noqa: ASYNC110
                await asyncio.sleep(TURN)
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(schema.upgrade)
            finally:
                os.close(lock)

    def _opened(self, task: asyncio.Task[AsyncEngine]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # those who wait have it; they may all have left

    def _complain(self, error: BaseException) -> None:
        if time.monotonic() - self._complained >= COMPLAIN_EVERY:
            self._complained = time.monotonic()
            log.warning("the database does not answer", reason=type(error).__name__)


def _create(file: Path) -> None:
    create_folder(file.parent)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _driver(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    scheme = {
        "postgres": "postgresql+asyncpg",
        "postgresql": "postgresql+asyncpg",
        "sqlite": "sqlite+aiosqlite",
    }.get(scheme, scheme)
    return f"{scheme}{separator}{rest}"


__all__ = ("HEAD", "Database")
