"""What a create leaves with its task: its idempotency key, a URL to read later, and how the source is read."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEPT = sa.text("create_key IS NOT NULL AND deleted_at IS NULL")
COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "create_key": sa.LargeBinary(),
    "create_digest": sa.LargeBinary(),
    "source_url": sa.Text(),
    "reading_options": sa.Text(),
    "reading": sa.Text(),
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("import_task", sa.Column(name, kind, nullable=True))
    op.create_index(
        "ix_import_task_create_key",
        "import_task",
        ["create_key"],
        unique=True,
        postgresql_where=KEPT,
        sqlite_where=KEPT,
    )


def downgrade() -> None:
    op.drop_index("ix_import_task_create_key", "import_task")
    for name in COLUMNS:
        op.drop_column("import_task", name)
