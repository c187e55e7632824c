"""Comparisons that keep the wrong face out of a group, and the order in which guarded faces came into it."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("import_task", sa.Column("same_picture", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("outcome", sa.Column("picture", sa.LargeBinary()))
    has = sa.text("picture IS NOT NULL")
    op.create_index("ix_outcome_picture", "outcome", ["task_id", "picture"], postgresql_where=has, sqlite_where=has)
    for name in ("alike", "alike_tag"):
        op.add_column("import_task", sa.Column(name, sa.Double(), nullable=False, server_default="0"))
    op.add_column("import_task", sa.Column("on_alike", sa.String(8), nullable=False, server_default="refuse"))
    op.add_column("sent", sa.Column("turn", sa.BigInteger()))
    has = sa.text("turn IS NOT NULL")
    op.create_index("ix_sent_digest", "sent", ["task_id", "digest"], postgresql_where=has, sqlite_where=has)
    op.create_table(
        "turn",
        sa.Column("group_name", sa.String(250), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_name", name="pk_turn"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("turn")
    op.drop_index("ix_sent_digest", "sent")
    op.drop_column("sent", "turn")
    op.drop_index("ix_outcome_picture", "outcome")
    op.drop_column("outcome", "picture")
    for name in ("on_alike", "alike_tag", "alike", "same_picture"):
        op.drop_column("import_task", name)
