from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from hyperllama.database.database import HEAD, Database
from hyperllama.errors import ConfigError


async def test_opening_brings_the_schema_to_what_the_queries_expect(database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from hyperllama.database.tables import metadata

    engine = await database.open()

    def differences(connection: object) -> list[object]:
        context = MigrationContext.configure(connection)  # type: ignore[arg-type]
        assert context.get_current_revision() == HEAD
        return list(compare_metadata(context, metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_the_newest_migration_is_the_one_the_code_expects() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    import hyperllama.database.database as module

    settings = Config()
    settings.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(settings).get_current_head() == HEAD


async def test_two_gateways_that_start_together_migrate_once(database, tmp_path) -> None:
    other = Database(tmp_path, "" if database.file else _url(database))
    try:
        await asyncio.gather(database.open(), other.open())
        async with other.begin() as connection:
            found = await connection.exec_driver_sql("SELECT version_num FROM alembic_version")
            assert [row[0] for row in found] == [HEAD]
    finally:
        await other.close()


async def test_the_file_is_its_owners_alone(tmp_path) -> None:
    database = Database(tmp_path / "new")
    assert not database.exists
    await database.open()
    assert database.exists
    for file in (tmp_path / "new").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    await database.close()


async def test_a_url_that_names_no_database_is_a_configuration_error(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"store\.database"):
        await Database(tmp_path, "junk://x/y").open()


async def test_what_a_transaction_did_is_undone_when_it_fails(database) -> None:
    with pytest.raises(RuntimeError):
        async with database.begin() as connection:
            await connection.exec_driver_sql("UPDATE revisions SET number = 7")
            raise RuntimeError
    async with database.begin() as connection:
        found = await connection.exec_driver_sql("SELECT number FROM revisions")
        assert [row[0] for row in found] == [0]


def _url(database: Database) -> str:
    return database._url
