"""Image hosts in trouble, and fetches at a time from one host."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("import_task", sa.Column("host_threads", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("import_task", sa.Column("hosts_version", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "host",
        *_key("host"),
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lost_rows", sa.Integer(), nullable=False),
        sa.Column("since", sa.Double()),
        sa.Column("patience_until", sa.Double(), nullable=False),
        sa.Column("retry_at", sa.Double(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("given_up", sa.Boolean(), nullable=False),
        sa.Column("prober", sa.String(length=36)),
        sa.Column("probe_until", sa.Double(), nullable=False),
        sa.Column("most", sa.Integer()),
        sa.Column("most_since", sa.Double(), nullable=False),
        sa.Column("pace", sa.Double()),
        sa.PrimaryKeyConstraint("task_id", "origin", name=op.f("pk_host")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "place",
        *_key("place"),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("wants", sa.Integer(), nullable=False),
        sa.Column("granted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "shard", "origin", name=op.f("pk_place")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("place")
    op.drop_table("host")
    op.drop_column("import_task", "hosts_version")
    op.drop_column("import_task", "host_threads")


def _key(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    return (
        sa.Column("task_id", sa.String(length=12), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["import_task.id"], name=op.f(f"fk_{table}_task_id_import_task"), ondelete="CASCADE"
        ),
    )
