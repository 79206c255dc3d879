"""The tables, as queries see them. What made them is in ``migrations``; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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
    Column("model", String(512), primary_key=True),
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
    Column("request_id", String(64), nullable=False, server_default=""),  # empty: of no request
    Column("outcome", String(64), nullable=False, server_default="done"),  # or the code of the error it ended in
)

revisions = Table(
    "revisions",
    metadata,
    Column("name", String(32), primary_key=True),  # what changed
    Column("number", BigInteger, nullable=False),
)

records = Table(
    "records",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("created", Double, nullable=False, index=True),
    Column("expires", Double, index=True),  # NULL: never
    Column("body", LargeBinary, nullable=False),
    Index("records_of_owner", "kind", "owner", "created", "id"),
)

files = Table(
    "files",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("place", String(32), nullable=False),  # the folder its bytes are in
    Column("purpose", String(32), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, index=True),
    Index("files_of_owner", "owner", "created", "id"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("principal", Text, nullable=False),  # JSON: who it was when it asked
    Column("place", String(32), nullable=False),
    Column("protocol", String(32), nullable=False),
    Column("endpoint", String(128), nullable=False),
    Column("input_file", String(64), nullable=False),
    Column("output_file", String(64)),
    Column("error_file", String(64)),
    Column("output_life", Double),  # seconds; NULL: as the configuration says
    Column("status", String(16), nullable=False, index=True),
    Column("model", String(255), nullable=False),
    Column("notes", Text, nullable=False),  # JSON: the client's metadata
    Column("errors", Text, nullable=False),  # JSON: why it failed, by line
    Column("moments", Text, nullable=False),  # JSON: status -> unix seconds
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("usage", Text, nullable=False),  # JSON: tokens of the lines done
    Column("unrun", Integer, nullable=False, server_default="0"),  # of those that failed
    Index("batches_of_owner", "owner", "created", "id"),
)

batch_results = Table(
    "batch_results",
    metadata,
    Column("batch", String(64), ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("failed", Integer, nullable=False),  # 0: it belongs in the output file; 1: in the error file
    Column("body", LargeBinary, nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("digest", String(71), primary_key=True),  # of a blob of the model store
    Column("owner", String(128), nullable=False, index=True),
    Column("bytes", BigInteger, nullable=False),
)

__all__ = (
    "audit",
    "batch_results",
    "batches",
    "files",
    "keys",
    "metadata",
    "records",
    "revisions",
    "secrets",
    "uploads",
    "usage",
)
