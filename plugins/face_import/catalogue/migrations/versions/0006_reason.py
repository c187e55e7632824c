"""Why a row failed, as a word that programs can rely on."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outcome", sa.Column("reason", sa.String(length=20), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("outcome", "reason")
