"""A database of the test's own, and credentials to look up in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hyperllama.database.database import Database
from hyperllama.identity import Credentials


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path)
    yield database
    await database.close()


@pytest.fixture
def sent():
    def credentials(token: str | None = None, client: str | None = "127.0.0.1") -> Credentials:
        return Credentials(token=token, headers={}, client=client)

    return credentials


@pytest.fixture(params=["sqlite", "postgresql"])
async def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """SQLite always, PostgreSQL where it is installed."""
    url = request.getfixturevalue("empty_postgres") if request.param == "postgresql" else ""
    database = Database(tmp_path, url)
    yield database
    await database.close()
