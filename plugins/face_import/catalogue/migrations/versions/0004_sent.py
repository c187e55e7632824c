"""A journal of adds under the ids of a file, in place of ranges of rows that may have been sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OWN_ID = sa.text("code = 0 AND face_id <> task_id || '-' || CAST(\"row\" AS TEXT)")


def upgrade() -> None:
    op.create_table(
        "sent",
        sa.Column("task_id", sa.String(length=12), nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("face_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "row", name=op.f("pk_sent")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sent_face_id", "sent", ["face_id", "task_id"], unique=True)
    op.drop_index("ix_outcome_own_id", "outcome")
    op.create_index(
        "ix_outcome_own_id", "outcome", ["face_id", "task_id"], postgresql_where=OWN_ID, sqlite_where=OWN_ID
    )
    op.add_column("shard", sa.Column("in_doubt", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE shard SET in_doubt = true WHERE claimed_to > 0 OR lease_owner IS NOT NULL")
    op.drop_column("shard", "claimed_to")
    op.add_column("holding", sa.Column("sent_id", sa.Text(), nullable=False, server_default=""))
    op.add_column("holding", sa.Column("sent_digest", sa.LargeBinary(), nullable=False, server_default=sa.text("''")))
    op.add_column("holding", sa.Column("shaky", sa.Boolean(), nullable=False, server_default=sa.false()))
    # What the release before left pending without a digest is in doubt; with one it is a face of ours.
    op.execute("UPDATE holding SET sent_id = face_id WHERE pending AND length(digest) = 0")


def downgrade() -> None:
    for name in ("shaky", "sent_digest", "sent_id"):
        op.drop_column("holding", name)
    op.drop_column("shard", "in_doubt")
    op.add_column("shard", sa.Column("claimed_to", sa.Integer(), nullable=False, server_default="0"))
    op.drop_index("ix_outcome_own_id", "outcome")
    op.create_index(
        "ix_outcome_own_id", "outcome", ["task_id", "face_id"], postgresql_where=OWN_ID, sqlite_where=OWN_ID
    )
    op.drop_index("ix_sent_face_id", "sent")
    op.drop_table("sent")
