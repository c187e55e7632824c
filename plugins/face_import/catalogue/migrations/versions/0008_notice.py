"""What a running import waits for, if that was decided in Airflow."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("import_task", sa.Column("notice", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("import_task", "notice")
