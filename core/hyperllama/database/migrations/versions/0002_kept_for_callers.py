"""What is kept for callers (records, files, batches, uploads), and of a management act its request and outcome."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit", sa.Column("request_id", sa.String(64), nullable=False, server_default=""))
    op.add_column("audit", sa.Column("outcome", sa.String(64), nullable=False, server_default="done"))
    op.create_table(
        "records",
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_records_created", "records", ["created"])
    op.create_index("ix_records_expires", "records", ["expires"])
    op.create_index("records_of_owner", "records", ["kind", "owner", "created", "id"])
    op.create_table(
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
    op.create_index("ix_files_expires", "files", ["expires"])
    op.create_index("files_of_owner", "files", ["owner", "created", "id"])
    op.create_table(
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
    op.create_index("ix_batches_status", "batches", ["status"])
    op.create_index("batches_of_owner", "batches", ["owner", "created", "id"])
    op.create_table(
        "batch_results",
        sa.Column("batch", sa.String(64), sa.ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "uploads",
        sa.Column("digest", sa.String(71), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_uploads_owner", "uploads", ["owner"])


def downgrade() -> None:
    for table in ("uploads", "batch_results", "batches", "files", "records"):
        op.drop_table(table)
    with op.batch_alter_table("audit") as audit:
        audit.drop_column("outcome")
        audit.drop_column("request_id")
