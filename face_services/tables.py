"""The library's tables, and how its SQLite file is opened."""

from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    URL,
    Connection,
    Engine,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    create_engine,
    delete,
    event,
    insert,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from face_services.engine import ENGINE
from face_services.errors import OtherEngine

BUSY_TIMEOUT_SECONDS = 10
WRITES = {"face_services_writes": True}


class Base(DeclarativeBase):
    """Root of the tables."""


class Group(Base):
    """A library of known faces.

    `count` is kept so that neither an add nor a look at the group counts rows. `deletions` rises whenever faces are
    removed, for caches of the embeddings to notice.
    """

    __tablename__ = "face_group"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own shape

    key: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    capacity: Mapped[int]
    count: Mapped[int] = mapped_column(default=0)
    deletions: Mapped[int] = mapped_column(default=0)


class StoredFace(Base):
    """A known face. Keys increase in commit order: new faces have keys above all that were seen."""

    __tablename__ = "face"
    __table_args__ = (
        UniqueConstraint("group_key", "id"),
        Index("face_by_age", "group_key", "key"),  # finds new faces without scanning the group
        {"sqlite_autoincrement": True},
    )

    key: Mapped[int] = mapped_column(primary_key=True)
    group_key: Mapped[int] = mapped_column(ForeignKey("face_group.key", ondelete="CASCADE"))
    id: Mapped[str]
    tag: Mapped[str]
    desc: Mapped[Any] = mapped_column(JSON)
    box: Mapped[Any] = mapped_column(JSON)
    score: Mapped[float]
    embedding: Mapped[bytes] = mapped_column(LargeBinary)


class About(Base):
    """One row: the engine that made the embeddings (`engine.ENGINE`)."""

    __tablename__ = "about"

    engine: Mapped[str] = mapped_column(primary_key=True)


def open_database(path: Path) -> Engine:
    """Opens the file in write-ahead mode, creating it, its folder and its tables if missing.

    A connection with the execution options `WRITES` takes SQLite's write lock when its transaction begins: what it
    reads then cannot change before it writes.

    Raises:
        OSError: the folder cannot be made.
        sqlalchemy.exc.OperationalError: the file cannot be opened or written.
        OtherEngine: its faces are another engine's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
        pool_size=8,
        max_overflow=24,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    writing = engine.execution_options(**WRITES)
    Base.metadata.create_all(writing)
    with writing.begin() as connection:
        _sign(connection, path)
    return engine


def _sign(connection: Connection, path: Path) -> None:
    """Note whose embeddings these are; files from before that have no note."""
    signed = connection.scalar(select(About.engine))
    if signed == ENGINE:
        return
    if connection.scalar(select(StoredFace.key).limit(1)) is not None:
        raise OtherEngine(str(path), signed or "MediaPipe and dlib")
    connection.execute(delete(About))
    connection.execute(insert(About).values(engine=ENGINE))


def _set_up(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin in _begin, not where sqlite3 guesses
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # an acknowledged add survives even a power failure


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("face_services_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
