"""Faces that are to be removed, in the journal of adds."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sent", sa.Column("removal", sa.JSON()))


def downgrade() -> None:
    op.execute("DELETE FROM sent WHERE removal IS NOT NULL")
    op.drop_column("sent", "removal")
