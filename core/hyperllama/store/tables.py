"""The tables, as queries see them. What made them is in ``migrations``; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("owner", String(128), nullable=False),
    Column("permissions", Text, nullable=False),  # JSON
    Column("models", Text),  # JSON; NULL: every model
    Column("limits", Text, nullable=False),  # JSON
    Column("weight", Double, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created", Double, nullable=False),  # times are unix seconds
    Column("expires", Double),
    Column("revoked", Double),
    Index(
        "keys_name_in_use",
        "name",
        unique=True,
        sqlite_where=text("revoked IS NULL"),
        postgresql_where=text("revoked IS NULL"),
    ),
)

secrets = Table(
    "secrets",
    metadata,
    Column("digest", String(64), primary_key=True),  # HMAC-SHA256 with the pepper, hexadecimal
    Column("key", String(32), ForeignKey("keys.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created", Double, nullable=False),
    Column("expires", Double),  # of a secret that was rotated away
)

usage = Table(
    "usage",
    metadata,
    Column("day", String(10), primary_key=True),  # UTC
    Column("key", String(128), primary_key=True),
    Column("model", String(255), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False, index=True),
    Column("actor", String(128), nullable=False),
    Column("act", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("detail", Text, nullable=False),  # JSON; never a secret
)

revisions = Table(
    "revisions",
    metadata,
    Column("name", String(32), primary_key=True),  # what changed
    Column("number", BigInteger, nullable=False),
)

__all__ = ("audit", "keys", "metadata", "revisions", "secrets", "usage")
