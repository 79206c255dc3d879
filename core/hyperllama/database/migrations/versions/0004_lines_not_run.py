"""Lines of a batch that failed since it ended before they ran, counted by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperllama.database.migrations.steps import add_column

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("batches", sa.Column("unrun", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("batches") as batches:
        batches.drop_column("unrun")
