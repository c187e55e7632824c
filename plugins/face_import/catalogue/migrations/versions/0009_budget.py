"""A budget for failures, and the rows handled in the current attempt, by which it is judged."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
NUMBERS = ("max_failed", "max_failed_percent", "fail_on_errors", "handled_before")


def upgrade() -> None:
    for name in NUMBERS:
        op.add_column("import_task", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("import_task", sa.Column("handled_since", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    for name in ("handled_since", *reversed(NUMBERS)):
        op.drop_column("import_task", name)
