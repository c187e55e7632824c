"""Alembic's entry: runs the migrations of the catalogue in one transaction."""

from alembic import context

from face_import.catalogue.engine import connect
from face_import.catalogue.schema import metadata

with connect(context.config.attributes["url"], pooled=False).connect() as connection:
    if connection.dialect.name == "sqlite":
        # A batch operation recreates a table and drops the old one. SQLite first deletes the rows of a dropped table
        # and, with foreign keys on, all that references them: for import_task, the ledger. Only outside a transaction.
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
