"""Alembic's entry: runs the migrations of the catalogue in one transaction."""

from alembic import context

from face_import.catalogue.engine import connect
from face_import.catalogue.schema import metadata

with connect(context.config.attributes["url"]).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
