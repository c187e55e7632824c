"""Callbacks: the URL of a task, and the calls to make when it ends."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("import_task", sa.Column("callback_url", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "callback",
        sa.Column("task_id", sa.String(length=12), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_at", sa.Double()),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.Double()),
        sa.ForeignKeyConstraint(
            ["task_id"], ["import_task.id"], name=op.f("fk_callback_task_id_import_task"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "attempt", name=op.f("pk_callback")),
        sqlite_with_rowid=False,
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_callback_due_at", "callback", ["due_at"], postgresql_where=due, sqlite_where=due)


def downgrade() -> None:
    op.drop_table("callback")
    op.drop_column("import_task", "callback_url")
