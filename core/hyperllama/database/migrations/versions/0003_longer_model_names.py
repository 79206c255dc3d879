"""Usage of models whose names are longer than 255 characters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("usage") as usage:
        usage.alter_column("model", existing_type=sa.String(255), type_=sa.String(512), existing_nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("usage") as usage:
        usage.alter_column("model", existing_type=sa.String(512), type_=sa.String(255), existing_nullable=False)
