"""A database of the test's own."""

from __future__ import annotations

from tests.support.databases import database, sent
