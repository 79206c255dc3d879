"""The gateway's database: SQLite in the store, or PostgreSQL by URL; opened and brought up to date at first need."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from hyperllama.errors import ConfigError
from hyperllama.system.files import create_folder, open_locked

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

HEAD = "0002"  # the newest migration; a test keeps it so
FILE = "gateway.db"

log = structlog.get_logger(__name__)


class Database:
    """Cheap to make; nothing is imported, opened or created before it is first used.

    ``url``: ``postgresql://user@host/name``; empty: a file in ``directory``, readable by its owner alone.
    """

    def __init__(self, directory: Path, url: str = "") -> None:
        self._directory = directory
        self._url = _driver(url) if url else ""
        self._engine: AsyncEngine | None = None
        self._opening = asyncio.Lock()

    @property
    def file(self) -> Path | None:
        """The SQLite file in the store; None: a database named by URL."""
        return None if self._url else self._directory / FILE

    @property
    def exists(self) -> bool:
        """Whether there may be anything in it: a file, or a server to ask."""
        return self.file is None or self.file.exists()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection, None]:
        """A transaction: committed at the end, rolled back on an exception."""
        engine = await self.open()
        async with engine.begin() as connection:
            yield connection

    async def open(self) -> AsyncEngine:
        """The engine, with the schema up to date. Once; whoever comes meanwhile waits. Raises ConfigError."""
        if self._engine is not None:
            return self._engine
        async with self._opening:
            if self._engine is None:
                self._engine = await self._connect()
        return self._engine

    async def close(self) -> None:
        """Let go of every connection; a later use opens again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    async def _connect(self) -> AsyncEngine:
        await asyncio.to_thread(importlib.import_module, "sqlalchemy.ext.asyncio")  # a quarter of a second
        from sqlalchemy import event
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.ext.asyncio import create_async_engine

        if self.file is not None:
            await asyncio.to_thread(_create, self.file)
        url = self._url or f"sqlite+aiosqlite:///{self.file}"
        try:
            engine = create_async_engine(url, pool_pre_ping=not url.startswith("sqlite"), hide_parameters=True)
        except (ArgumentError, NoSuchModuleError) as error:
            raise ConfigError("store.database: not a database URL; write postgresql://user@host/name") from error
        except ImportError as error:
            raise ConfigError(
                "store.database: PostgreSQL needs the extra: pip install 'hyperllama-gateway[postgres]'"
            ) from error
        if url.startswith("sqlite"):
            event.listen(engine.sync_engine, "connect", _pragmas)
        try:
            await self._migrate(engine)
        except BaseException:
            await engine.dispose()
            raise
        return engine

    async def _migrate(self, engine: AsyncEngine) -> None:
        if await _revision(engine) == HEAD:
            return
        await asyncio.to_thread(importlib.import_module, "alembic.command")
        lock = await asyncio.to_thread(open_locked, self._directory / f"{FILE}.lock")
        try:
            async with engine.begin() as connection:
                await connection.run_sync(upgrade)
        finally:
            if lock is not None:
                os.close(lock)


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema to ``revision`` on this connection, in its transaction."""
    from alembic import command
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, revision)


async def _revision(engine: AsyncEngine) -> str | None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    try:
        async with engine.connect() as connection:
            found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
            return str(found) if found is not None else None
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return None  # no such table: a new database


def _pragmas(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


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


__all__ = ("HEAD", "Database", "upgrade")
