"""SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

from tests.support.databases import each_database as database
