"""Whether the database has room: how that is tried, where a PostgreSQL is reachable."""

from pathlib import Path

from sqlalchemy import Engine, text

from face_import.catalogue.engine import connect, has_room
from tests import servers
from tests.waiting import until

WRITTEN = text("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()")


def written(engine: Engine) -> int:
    """Bytes of temporary files that queries of this database have written, as far as its statistics know."""
    with engine.connect() as connection:
        return int(connection.scalar(WRITTEN) or 0)


def test_postgresql_writes_a_megabyte() -> None:
    """To its disk, whatever its memory would have room for; without that a full disk would not be found out."""
    try:
        with servers.databases(1) as (url,):
            engine = connect(url, pooled=False)
            assert has_room(engine)
            until(lambda: written(engine) >= 2**20)
            engine.dispose()
    except servers.Unavailable as reason:
        servers.skip(reason)


def test_what_else_is_wrong_is_no_lack_of_room(tmp_path: Path) -> None:
    """A server that is away is told by whoever reads from it; a file's disk is seen without trying."""
    assert has_room(connect("postgresql+psycopg://nobody@127.0.0.1:9/none", pooled=False))
    assert has_room(connect(f"sqlite:///{tmp_path / 'x.db'}"))
    assert list(tmp_path.iterdir()) == []
