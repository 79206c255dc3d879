"""Steps of a migration that may have been taken already.

Before revision 0003 was written, SQLite's driver committed every change of the schema by itself, so a gateway that was
killed in a migration left half of it behind. These steps finish such a database.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op


def create_table(name: str, *columns: sa.Column[Any]) -> None:
    """Create the table unless it exists."""
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *columns)


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add the column unless the table has it."""
    if column.name not in {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def create_index(name: str, table: str, columns: list[str], **options: Any) -> None:
    """Create the index unless the table has it."""
    if name not in {found["name"] for found in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns, **options)


__all__ = ("add_column", "create_index", "create_table")
