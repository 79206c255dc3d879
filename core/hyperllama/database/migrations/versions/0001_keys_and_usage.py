"""Keys, their secrets, usage, and the log of management acts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperllama.database.migrations.steps import create_index, create_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("models", sa.Text),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("weight", sa.Double, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("revoked", sa.Double),
    )
    in_use = sa.text("revoked IS NULL")
    create_index("keys_name_in_use", "keys", ["name"], unique=True, sqlite_where=in_use, postgresql_where=in_use)
    create_table(
        "secrets",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(32), sa.ForeignKey("keys.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
    )
    create_index("ix_secrets_key", "secrets", ["key"])
    counts = ("requests", "failed", "cancelled", "refused", "prompt_tokens", "cached_tokens", "completion_tokens")
    create_table(
        "usage",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("model", sa.String(255), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        *(sa.Column(count, sa.BigInteger, nullable=False) for count in counts),
    )
    create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("act", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    create_index("ix_audit_at", "audit", ["at"])
    create_table(
        "revisions",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    revisions = sa.table("revisions", sa.column("name"), sa.column("number"))
    if not op.get_bind().scalar(sa.select(sa.func.count()).select_from(revisions)):
        op.bulk_insert(revisions, [{"name": "keys", "number": 0}])


def downgrade() -> None:
    for table in ("revisions", "audit", "usage", "secrets", "keys"):
        op.drop_table(table)
