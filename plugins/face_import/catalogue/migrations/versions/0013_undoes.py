"""Which import an undo is about."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
UNDO = sa.text("undoes <> ''")


def upgrade() -> None:
    op.add_column("import_task", sa.Column("undoes", sa.String(12), nullable=False, server_default=""))
    op.create_index("ix_import_task_undoes", "import_task", ["undoes"], postgresql_where=UNDO, sqlite_where=UNDO)


def downgrade() -> None:
    op.drop_index("ix_import_task_undoes", "import_task")
    op.drop_column("import_task", "undoes")
