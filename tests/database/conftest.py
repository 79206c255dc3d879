"""Databases for the rooms that keep something: SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hyperllama.database.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = request.getfixturevalue("empty_postgres") if request.param == "postgresql" else ""
    database = Database(tmp_path, url)
    yield database
    await database.close()
