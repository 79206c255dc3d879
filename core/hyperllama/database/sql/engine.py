"""Create engines for SQLite and PostgreSQL, and translate what their drivers raise."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hyperllama.errors import ConfigError, GatewayError, StorageFull, Unavailable
from hyperllama.system.files import full

CONNECT = 3.0  # seconds to wait for a server, or for a connection of the pool
BUSY = 2.5  # seconds, at most, that SQLite waits for another process's transaction
READ_ONLY = "hyperllama_read_only"  # an execution option: SQLite's transaction takes no lock before it writes
_BUSY = "hyperllama_busy"  # an execution option: milliseconds that SQLite waits in this transaction
RETRY = 5.0
# https://www.sqlite.org/rescode.html: busy, locked, no memory, read-only, I/O error, cannot open, protocol
_SQLITE_AWAY = frozenset((5, 6, 7, 8, 10, 14, 15))
_SQLITE_FULL = 13
_SQLITE_REFUSED = frozenset((18, 19, 20))  # too big, constraint, mismatch
# Classes of SQLSTATE: connection, rollback (dead-lock), resources, prerequisites (locks), operator, system
_POSTGRES_AWAY = ("08", "40", "53", "55", "57", "58")
_POSTGRES_FULL = "53100"
_POSTGRES_REFUSED = ("22", "23")  # data, constraints


def create(url: str) -> AsyncEngine:
    """Create an engine; nothing is connected yet. Raises ConfigError for a URL that names no database."""
    sqlite = url.startswith("sqlite")
    options: dict[str, Any] = {} if sqlite else {"connect_args": {"timeout": CONNECT}}
    try:
        engine = create_async_engine(url, hide_parameters=True, pool_timeout=CONNECT, **options)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError("store.database: Not a database URL; write postgresql://user@host/name.") from error
    except ImportError as error:
        raise ConfigError(
            "store.database: PostgreSQL needs the extra; pip install 'hyperllama-gateway[postgres]'."
        ) from error
    if sqlite:
        event.listen(engine.sync_engine, "connect", _configure)
        event.listen(engine.sync_engine, "begin", _begin)
    else:
        event.listen(engine.sync_engine, "checkout", _check)
    return engine


def until(engine: AsyncEngine, *, seconds: float, read_only: bool) -> AsyncEngine:
    """Return ``engine`` for a transaction that has so many ``seconds`` left."""
    busy = int(max(0.0, min(seconds, BUSY)) * 1000)
    return engine.execution_options(**{READ_ONLY: read_only, _BUSY: busy})


async def revision(engine: AsyncEngine) -> str | None:
    """Return the revision of the schema; None for a database without one."""
    try:
        async with engine.execution_options(**{READ_ONLY: True}).connect() as connection:
            found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
            return str(found) if found is not None else None
    except DBAPIError as error:
        if explain(error) is not None:
            raise
        return None  # no such table: a new database


def explain(error: BaseException) -> GatewayError | None:
    """Return the error that clients get for one of a database that is away or full; None for every other."""
    if refused(error):
        return None
    if isinstance(error, DBAPIError):
        if _is_full(error):
            return StorageFull("There is no space left on the gateway's disk.")
        if error.connection_invalidated or _is_away(error):
            return _unavailable()
        return None
    if isinstance(error, OSError) and full(error):
        return StorageFull("There is no space left on the gateway's disk.")
    if isinstance(error, OSError | TimeoutError | PoolTimeout):  # a refused connection is no DBAPIError
        return _unavailable()
    return None


def refused(error: BaseException) -> bool:
    """Return whether the values of a statement were at fault, which no later try can change."""
    if isinstance(error, UnicodeError | OverflowError):
        return True
    if isinstance(error, DBAPIError):
        if (code := _sqlite_code(error)) is not None:
            return code in _SQLITE_REFUSED
        if state := _sqlstate(error):
            return state.startswith(_POSTGRES_REFUSED)
        cause = error.orig.__cause__ if error.orig is not None else None
        return isinstance(cause, ValueError)  # asyncpg could not encode it
    return isinstance(error, StatementError)


def abort(connection: AsyncConnection) -> None:
    """Cut the connection to a server, so that whatever waits for it fails at once; SQLite's stays as it is."""
    if connection.dialect.name == "postgresql" and not connection.closed and not connection.invalidated:
        raw = connection.sync_connection
        driver = raw.connection.driver_connection if raw is not None else None
        if driver is not None:
            driver.terminate()


def _unavailable() -> Unavailable:
    return Unavailable("The gateway's database does not answer at the moment.", retry_after=RETRY)


def _is_full(error: DBAPIError) -> bool:
    return _sqlite_code(error) == _SQLITE_FULL or _sqlstate(error) == _POSTGRES_FULL


def _is_away(error: DBAPIError) -> bool:
    code = _sqlite_code(error)
    if code is not None:
        return code in _SQLITE_AWAY
    state = _sqlstate(error)
    if state:
        return state.startswith(_POSTGRES_AWAY)
    return isinstance(error, OperationalError | InterfaceError) and not isinstance(error.orig, sqlite3.Error)


def _sqlite_code(error: DBAPIError) -> int | None:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None  # the rest are its details


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _configure(connection: DBAPIConnection, _: object) -> None:
    """Take transactions from the driver, which commits before every change of the schema, and set pragmas."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={int(BUSY * 1000)}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # Immediate: a transaction that reads before it writes would fail when another one wrote in between.
    options = connection.get_execution_options()
    if _BUSY in options:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={options[_BUSY]}")
    connection.exec_driver_sql("BEGIN" if options.get(READ_ONLY, False) else "BEGIN IMMEDIATE")


def _check(connection: DBAPIConnection, _record: object, _proxy: object) -> None:
    """Raise DisconnectionError for a connection that the server closed, as the driver knows it: a ping would wait."""
    driver = getattr(connection, "driver_connection", connection)
    if getattr(driver, "_connection", driver).is_closed():
        raise DisconnectionError


__all__ = ("READ_ONLY", "abort", "create", "explain", "refused", "revision", "until")
