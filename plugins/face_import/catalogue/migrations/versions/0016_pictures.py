"""Which image the face of a holding was made of, and which face of the group speaks against a row's."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("holding", sa.Column("picture", sa.LargeBinary()))
    has, columns = sa.text("picture IS NOT NULL"), ["entry", "group_name", "picture"]
    op.create_index("ix_holding_picture", "holding", columns, postgresql_where=has, sqlite_where=has)
    op.add_column("outcome", sa.Column("nearest_id", sa.Text()))
    op.add_column("outcome", sa.Column("nearest_score", sa.Double()))


def downgrade() -> None:
    for name in ("nearest_score", "nearest_id"):
        op.drop_column("outcome", name)
    op.drop_index("ix_holding_picture", "holding")
    op.drop_column("holding", "picture")
