"""Records, files, batches and uploads of callers, and the request and the outcome of a management act."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperllama.database.migrations.steps import add_column, create_index, create_table

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("audit", sa.Column("request_id", sa.String(64), nullable=False, server_default=""))
    add_column("audit", sa.Column("outcome", sa.String(64), nullable=False, server_default="done"))
    create_table(
        "records",
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    create_index("ix_records_created", "records", ["created"])
    create_index("ix_records_expires", "records", ["expires"])
    create_index("records_of_owner", "records", ["kind", "owner", "created", "id"])
    create_table(
        "files",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
    )
    create_index("ix_files_expires", "files", ["expires"])
    create_index("files_of_owner", "files", ["owner", "created", "id"])
    create_table(
        "batches",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("protocol", sa.String(32), nullable=False),
        sa.Column("endpoint", sa.String(128), nullable=False),
        sa.Column("input_file", sa.String(64), nullable=False),
        sa.Column("output_file", sa.String(64)),
        sa.Column("error_file", sa.String(64)),
        sa.Column("output_life", sa.Double),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        *(sa.Column(column, sa.Text, nullable=False) for column in ("notes", "errors", "moments")),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        *(sa.Column(count, sa.Integer, nullable=False) for count in ("total", "completed", "failed")),
        sa.Column("usage", sa.Text, nullable=False),
    )
    create_index("ix_batches_status", "batches", ["status"])
    create_index("batches_of_owner", "batches", ["owner", "created", "id"])
    create_table(
        "batch_results",
        sa.Column("batch", sa.String(64), sa.ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    create_table(
        "uploads",
        sa.Column("digest", sa.String(71), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    create_index("ix_uploads_owner", "uploads", ["owner"])


def downgrade() -> None:
    for table in ("uploads", "batch_results", "batches", "files", "records"):
        op.drop_table(table)
    with op.batch_alter_table("audit") as audit:
        audit.drop_column("outcome")
        audit.drop_column("request_id")
