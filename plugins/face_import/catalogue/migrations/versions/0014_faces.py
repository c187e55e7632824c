"""A limit on the number of faces in an image."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("import_task", sa.Column("faces", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("import_task", "faces")
