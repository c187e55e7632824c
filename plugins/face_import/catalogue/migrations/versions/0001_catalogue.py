"""The catalogue: tasks, shards, tallies, outcomes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "import_task",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("group_name", sa.String(length=250), nullable=False),
        sa.Column("pos_pitch", sa.Integer(), nullable=False),
        sa.Column("pos_yaw", sa.Integer(), nullable=False),
        sa.Column("pos_rol", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("blur_degree", sa.Integer(), nullable=False),
        sa.Column("thread_num", sa.Integer(), nullable=False),
        sa.Column("mode", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("launched_attempt", sa.Integer(), nullable=False),
        sa.Column("launched_at", sa.Double(), nullable=False),
        sa.Column("control_owner", sa.String(length=36), nullable=True),
        sa.Column("control_until", sa.Double(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("total_num", sa.Integer(), nullable=False),
        sa.Column("source_name", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("stopped_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("deleted_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_task")),
        sa.UniqueConstraint("run_id", name=op.f("uq_import_task_run_id")),
    )
    with op.batch_alter_table("import_task", schema=None) as batch_op:
        batch_op.create_index("ix_import_task_group_name_state", ["group_name", "state"], unique=False)

    op.create_table(
        "outcome",
        sa.Column("task_id", sa.String(length=12), nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("face_id", sa.Text(), nullable=False),
        sa.Column("measurements", sa.JSON(), nullable=False),
        sa.Column("handled_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["import_task.id"], name=op.f("fk_outcome_task_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "row", name=op.f("pk_outcome")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("outcome", schema=None) as batch_op:
        batch_op.create_index(
            "ix_outcome_failed_code",
            ["task_id", "code", "row"],
            unique=False,
            postgresql_where=sa.text("code != 0"),
            sqlite_where=sa.text("code != 0"),
        )
        batch_op.create_index(
            "ix_outcome_failed_row",
            ["task_id", "row"],
            unique=False,
            postgresql_where=sa.text("code != 0"),
            sqlite_where=sa.text("code != 0"),
        )

    op.create_table(
        "shard",
        sa.Column("task_id", sa.String(length=12), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_row", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("start_byte", sa.BigInteger(), nullable=False),
        sa.Column("end_byte", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=36), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("lease_wants", sa.Integer(), nullable=False),
        sa.Column("lease_grant", sa.Integer(), nullable=False),
        sa.Column("claimed_to", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["import_task.id"], name=op.f("fk_shard_task_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "number", name=op.f("pk_shard")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tally",
        sa.Column("task_id", sa.String(length=12), nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["import_task.id"], name=op.f("fk_tally_task_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "shard", "code", name=op.f("pk_tally")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("tally")
    op.drop_table("shard")
    with op.batch_alter_table("outcome", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_outcome_failed_row", postgresql_where=sa.text("code != 0"), sqlite_where=sa.text("code != 0")
        )
        batch_op.drop_index(
            "ix_outcome_failed_code", postgresql_where=sa.text("code != 0"), sqlite_where=sa.text("code != 0")
        )

    op.drop_table("outcome")
    with op.batch_alter_table("import_task", schema=None) as batch_op:
        batch_op.drop_index("ix_import_task_group_name_state")

    op.drop_table("import_task")
