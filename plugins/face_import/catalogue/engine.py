"""Connections to the catalogue: SQLite (WAL) or PostgreSQL, by URL alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Dialect, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool

BUSY_TIMEOUT_S = 30.0
POOL_SIZE = 16
"""Connections kept open; with fewer than its threads, the API would keep opening and closing some."""


def connect(url: str, *, timeout_s: float = BUSY_TIMEOUT_S, pooled: bool = True) -> Engine:
    """Create an engine whose transactions are safe for compare-and-set.

    On SQLite, every write transaction takes the write lock when it begins (`BEGIN IMMEDIATE`): one that read first
    and wrote later would fail if another had written in between. Readers use `reading(engine)` and never wait.

    Args:
        url: SQLAlchemy URL.
        timeout_s: how long a statement waits for another's lock, in seconds.
        pooled: keep connections open; must be False in a process that forks, whose children must not inherit any.
    """
    pool: dict[str, Any] = {"pool_size": POOL_SIZE} if pooled else {"poolclass": NullPool}
    if make_url(url).get_backend_name() != "sqlite":
        milliseconds = int(timeout_s * 1000)
        return create_engine(
            url, connect_args={"options": f"-c lock_timeout={milliseconds}"}, pool_pre_ping=pooled, **pool
        )
    engine = create_engine(url, connect_args={"timeout": timeout_s, "check_same_thread": False}, **pool)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's own BEGIN below, not the driver's
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'IMMEDIATE')}")

    return engine


def reading(engine: Engine) -> Engine:
    """The same engine for read-only transactions: one snapshot each, and no lock."""
    return engine.execution_options(begin="DEFERRED")


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["url"] = url
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Migrate the catalogue's tables to `revision`; creates the database file if necessary."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite" and target.database:
        Path(target.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    command.upgrade(_config(url), revision)


def revision(url: str, *, timeout_s: float = BUSY_TIMEOUT_S) -> str | None:
    """The Alembic revision of any database; None if there is none."""
    engine = connect(url, timeout_s=timeout_s, pooled=False)
    with reading(engine).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def revisions(url: str, *, timeout_s: float) -> tuple[str | None, list[str]]:
    """The revision of a database (None: without our tables), and all that this release knows, newest first."""
    current = revision(url, timeout_s=timeout_s)
    return current, [script.revision for script in ScriptDirectory.from_config(_config(url)).walk_revisions()]


def upsert_for(dialect: Dialect) -> Callable[[Table], "postgresql.Insert | sqlite.Insert"]:
    """The dialect's own `insert`, which has `on_conflict_do_...`."""
    return postgresql.insert if dialect.name == "postgresql" else sqlite.insert
