"""Connections to the catalogue: SQLite (WAL) or PostgreSQL, by URL alone."""

from collections.abc import Callable
from pathlib import Path
from sqlite3 import SQLITE_FULL
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Dialect, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

BUSY_TIMEOUT_S = 30.0
_FULL_AT_CONNECT = "could not write init file"
"""How PostgreSQL refuses a new connection when its disk is full; such an error has no SQLSTATE."""
_A_MEGABYTE = text(
    "WITH written AS MATERIALIZED (SELECT repeat('x', 8192) FROM generate_series(1, 128)) SELECT count(*) FROM written"
)
"""More than `work_mem`, so that it goes to a temporary file."""
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


def is_full(error: DBAPIError) -> bool:
    """Whether the database has no room; what it holds is unharmed, and it works again once there is room."""
    found = error.orig
    full = getattr(found, "sqlstate", None) == "53100" or getattr(found, "sqlite_errorcode", None) == SQLITE_FULL
    return full or _FULL_AT_CONNECT in str(found)


def has_room(engine: Engine) -> bool:
    """Whether PostgreSQL can write a temporary file of a megabyte; whatever else may be wrong with it is not asked.

    Its disk is not seen from here, so it is tried; nothing is left behind, and the log of changes does not grow.
    A SQLite file's disk is seen (`face_import.space`), and is not tried.
    """
    if engine.dialect.name == "sqlite":
        return True
    try:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL work_mem = '64kB'"))
            connection.execute(_A_MEGABYTE)
    except DBAPIError as error:
        return not is_full(error)
    return True


def reading(engine: Engine) -> Engine:
    """The same engine for read-only transactions: one snapshot each, and no lock."""
    return engine.execution_options(begin="DEFERRED")


def snapshot(engine: Engine) -> Engine:
    """As `reading`; on PostgreSQL too, all statements of a transaction see the same data."""
    if engine.dialect.name == "sqlite":
        return reading(engine)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
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
