"""How much of an import is done: measured in full, without adding, a sample of the rows."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
NUMBERS = ("measure", "dry_run", "sample")


def upgrade() -> None:
    for name in NUMBERS:
        op.add_column("import_task", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    for name in reversed(NUMBERS):
        op.drop_column("import_task", name)
