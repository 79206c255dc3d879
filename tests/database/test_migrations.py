"""A migration is whole or did not happen, whenever the gateway is killed; half of an older one is finished."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from hyperllama.database import schema
from hyperllama.database.database import FILE, HEAD, Database

SOME = pytest.param(9, id="some")
ALL = pytest.param(1, id="all", marks=[pytest.mark.nightly, pytest.mark.timeout(900)])
KILLS = Path(__file__).parent / "kill_migrations.py"
KEY = (
    "INSERT INTO keys (id, name, owner, permissions, limits, weight, priority, created) "
    "VALUES ('key_1', 'ci', '', '[\"infer\"]', '{}', 1.0, 0, 1.0)"
)
USED = (
    "INSERT INTO usage (day, key, model, name, requests, failed, cancelled, refused, prompt_tokens, cached_tokens, "
    "completion_tokens) VALUES ('2026-11-24', 'key_1', 'm', 'ci', 3, 0, 0, 0, 5, 0, 7)"
)
ACT = "INSERT INTO audit (at, actor, act, subject, detail) VALUES (1.0, 'cli', 'keys.create', 'ci', '{}')"


async def at_0001(directory: Path, url: str) -> None:
    """A database of the first version, with data."""
    engine = create_async_engine(url)

    def work(connection: sa.Connection) -> None:
        schema.upgrade(connection, "0001")
        for statement in (KEY, USED, ACT):
            connection.exec_driver_sql(statement)

    async with engine.begin() as connection:
        await connection.run_sync(work)
    await engine.dispose()


async def is_whole(database: Database, *, with_data: bool) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from hyperllama.database.tables import metadata

    def differences(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == HEAD
        return list(compare_metadata(context, metadata))

    async with database.begin() as connection:
        assert await connection.run_sync(differences) == []
        assert (await connection.exec_driver_sql("SELECT name, number FROM revisions")).all() == [("keys", 0)]
        if with_data:
            assert (await connection.exec_driver_sql("SELECT id, name FROM keys")).all() == [("key_1", "ci")]
            used = "SELECT model, requests, completion_tokens FROM usage"
            assert (await connection.exec_driver_sql(used)).all() == [("m", 3, 7)]
            act = "SELECT act, request_id, outcome FROM audit"
            assert (await connection.exec_driver_sql(act)).all() == [("keys.create", "", "done")]


def url_of(database: Database) -> str:
    return database._url or f"sqlite+aiosqlite:///{database.file}"


@pytest.mark.parametrize("stride", [SOME, ALL])
@pytest.mark.parametrize("begun", ["empty", "0001"])
async def test_a_gateway_killed_before_any_statement_of_its_migration_leaves_a_database_that_opens(
    database, tmp_path: Path, begun: str, stride: int
) -> None:
    if begun == "0001":
        await at_0001(tmp_path, url_of(database))
    command = [sys.executable, str(KILLS), str(tmp_path), database._url, str(stride)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 10  # statements, each of them the last of a gateway
    await is_whole(database, with_data=begun == "0001")


class Killed(Exception):
    pass


def left_by_the_old(file: Path, statements: int, *, begun: str) -> bool:
    """What an older gateway left, whose statements each committed, when it died before this many; False: it did not."""
    engine = sa.create_engine(f"sqlite:///{file}", isolation_level="AUTOCOMMIT")
    seen = 0

    def statement(_c: object, _u: object, text: str, *_: object) -> None:
        nonlocal seen
        seen += not text.lstrip().upper().startswith(("SELECT", "PRAGMA"))
        if seen > statements:
            raise Killed

    try:
        with engine.connect() as connection:
            if begun != "empty":
                schema.upgrade(connection, begun)
                for text in (KEY, USED, ACT):
                    connection.exec_driver_sql(text)
            sa.event.listen(engine, "before_cursor_execute", statement)
            schema.upgrade(connection, "0002")
    except Killed:
        return True
    finally:
        engine.dispose()
    return False


@pytest.mark.parametrize("stride", [SOME, ALL])
@pytest.mark.parametrize("begun", ["empty", "0001"])
async def test_half_a_migration_of_an_older_gateway_is_finished(tmp_path: Path, begun: str, stride: int) -> None:
    statements = 1
    (tmp_path / "1").mkdir()
    while left_by_the_old(tmp_path / str(statements) / FILE, statements, begun=begun):
        statements += stride
        (tmp_path / str(statements)).mkdir()
        if statements > 100:
            pytest.fail("it never ends")
    assert statements >= 10
    for half in range(1, statements + 1, stride):
        database = Database(tmp_path / str(half))
        await is_whole(database, with_data=begun != "empty")
        await database.close()
