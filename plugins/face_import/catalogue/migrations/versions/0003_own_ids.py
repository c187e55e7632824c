"""An index of the face ids that a file gave itself."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OWN_ID = sa.text("code = 0 AND face_id <> task_id || '-' || CAST(\"row\" AS TEXT)")


def upgrade() -> None:
    op.create_index(
        "ix_outcome_own_id", "outcome", ["task_id", "face_id"], postgresql_where=OWN_ID, sqlite_where=OWN_ID
    )


def downgrade() -> None:
    op.drop_index("ix_outcome_own_id", "outcome")
