"""Recurring imports of what has changed: holdings, and rows by change."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COUNTS = ("new_num", "changed_num", "unchanged_num")


def upgrade() -> None:
    op.add_column("import_task", sa.Column("entry", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("import_task", sa.Column("gone_num", sa.Integer(), nullable=True))
    for name in COUNTS:
        op.add_column("shard", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "holding",
        sa.Column("entry", sa.String(length=64), nullable=False),
        sa.Column("group_name", sa.String(length=250), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("face_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("cells", sa.LargeBinary(), nullable=False),
        sa.Column("validator", sa.Text(), nullable=False),
        sa.Column("pending", sa.Boolean(), nullable=False),
        sa.Column("task_id", sa.String(length=12), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("seen_by", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("entry", "group_name", "key", name=op.f("pk_holding")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("holding")
    for name in COUNTS:
        op.drop_column("shard", name)
    op.drop_column("import_task", "gone_num")
    op.drop_column("import_task", "entry")
