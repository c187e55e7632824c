"""Migrations forward and back with data in the tables, on SQLite and on PostgreSQL where a server is reachable."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.engine import _config, connect, migrate
from face_import.catalogue.schema import import_task, metadata, outcome, shard, tally
from face_import.contract import Mode, TaskState
from face_import.domain.models import Limits, Shard
from face_import.settings import Settings
from tests import servers
from tests.unit.catalogue.test_tasks import finish

TABLES = (import_task, shard, tally, outcome)
GONE = {"claimed_to", "measurements"}
"""Columns of the first revision that a later one has dropped."""
REBUILDING = '''
"""A migration of tomorrow: on SQLite it makes import_task anew, and drops the old one."""
from alembic import op
import sqlalchemy as sa
revision, down_revision, branch_labels, depends_on = "tomorrow", "{head}", None, None
def upgrade():
    with op.batch_alter_table("import_task", recreate="auto") as table:
        table.alter_column("thread_num", type_=sa.BigInteger())
def downgrade():
    with op.batch_alter_table("import_task", recreate="auto") as table:
        table.alter_column("thread_num", type_=sa.Integer())
'''

Rows = dict[str, list[dict[str, object]]]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database; one of PostgreSQL is dropped afterwards."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalogue.db'}"
        return
    try:
        with servers.databases(1) as urls:
            yield from urls
    except servers.Unavailable as reason:
        servers.skip(reason)


@pytest.fixture
def rows(url: str) -> Rows:
    """What is in a database at the newest revision with one import half done and one completed."""
    migrate(url)
    catalogue = Catalogue.open(Settings(database_url=url))
    for task_id, shards in (("completed000", 1), ("half000done0", 2)):
        config = TaskConfig("staff", "faces.csv", Limits(width=80), 10, Mode.SKIP)
        catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=shards * 10)
        plan = [Shard(n, n * 10 + 1, 10, n * 100, (n + 1) * 100, n * 10 + 1) for n in range(shards)]
        catalogue.plans.commit(task_id, plan, shards * 10)
        catalogue.tasks.start(task_id)
        finish(catalogue, task_id)
        assert catalogue.tasks.complete(task_id) == (shards == 1)
    catalogue.engine.dispose()
    return contents(url)


def contents(url: str) -> Rows:
    """All rows of the tables that the first revision made, by table, in the order of their keys."""
    engine = connect(url, pooled=False)
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in TABLES
        }


def tables(url: str) -> set[str]:
    """Tables that are there, without Alembic's own."""
    return set(inspect(connect(url, pooled=False)).get_table_names()) - {"alembic_version"}


def revisions(config: Config) -> list[str]:
    """All revisions, newest first."""
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]


def test_the_tables_are_those_of_the_code(url: str) -> None:
    """A column or index that was added to the schema alone would be missing at the operator's."""
    migrate(url)
    with connect(url, pooled=False).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_back_to_the_first_revision_and_forward_keeps_imports(url: str, rows: Rows) -> None:
    """Each migration that can be taken back loses only what it brought."""
    assert [len(found) for found in rows.values()] == [2, 3, 2, 20]
    first = revisions(_config(url))[-1]
    command.downgrade(_config(url), first)
    columns = {table: {c["name"] for c in inspect(connect(url, pooled=False)).get_columns(table)} for table in rows}
    migrate(url)

    def of_the_first(found: Rows) -> Rows:
        kept = {table: columns[table] - GONE for table in found}
        return {table: [{c: row[c] for c in kept[table]} for row in found[table]] for table in found}

    assert of_the_first(contents(url)) == of_the_first(rows)


OLD_OUTCOME = """
INSERT INTO outcome (task_id, row, code, uri, message, reason, face_id, measurements, handled_at)
VALUES (:task_id, :row, :code, 'http://x', '', '', '', :measurements, 1)
"""
MEASURED: dict[int, tuple[int, dict[str, object]]] = {
    21: (0, {"faces": 1, "score": 0.9876, "width": 150, "height": 151, "pitch": -1e-5, "yaw": 30.000000000000004,
             "roll": 0.1 + 0.2, "blur": 7}),
    22: (101, {}),
    23: (201, {"faces": 0}),
    24: (202, {"faces": 2, "score": 1.0, "width": 150, "height": 150}),
    25: (205, {"faces": 2, "score": 1.0, "width": 15, "height": 150}),
}  # fmt: skip


@pytest.mark.parametrize(("pos_yaw", "unknown"), [(30, [24]), (0, [])], ids=["asked for", "never asked for"])
def test_measurements_of_before_are_kept(url: str, rows: Rows, pos_yaw: int, unknown: list[int]) -> None:
    """Each to its last digit; a row whose limit needs a pose that it does not have is known to have none."""
    command.downgrade(_config(url), "0009")
    engine = connect(url, pooled=False)
    with engine.begin() as connection:
        connection.execute(text("UPDATE import_task SET pos_yaw = :limit"), {"limit": pos_yaw})
        for row, (code, measured) in MEASURED.items():
            values = {"task_id": "half000done0", "row": row, "code": code, "measurements": json.dumps(measured)}
            connection.execute(text(OLD_OUTCOME), values)
    names = ("faces", "score", "width", "height", "pitch", "yaw", "roll", "blur")
    for _ in range(2):
        migrate(url)
        with engine.connect() as connection:
            after = connection.execute(select(outcome).where(outcome.c.row > 20)).mappings().all()
        found = {row.row: {name: row[name] for name in names if row[name] is not None} for row in after}
        assert found == {row: measured for row, (_, measured) in MEASURED.items()}
        assert [row.row for row in after if row.pose_unknown] == unknown
        command.downgrade(_config(url), "0009")


def test_all_the_way_back_leaves_nothing(url: str, rows: Rows) -> None:
    """Before the first revision there are no tables; from there it goes forward again."""
    command.downgrade(_config(url), "base")
    assert tables(url) == set()
    migrate(url)
    assert tables(url) == set(metadata.tables)
    assert not any(contents(url).values())


def test_migrating_again_changes_nothing(url: str, rows: Rows) -> None:
    """Every start of a stack migrates."""
    migrate(url)
    assert contents(url) == rows


def test_a_migration_that_rebuilds_a_table_keeps_what_points_to_it(url: str, rows: Rows, tmp_path: Path) -> None:
    """SQLite deletes the rows of a dropped table first: with foreign keys on, shards and ledger would go with them."""
    config = _config(url)
    (tmp_path / "versions").mkdir()
    script = REBUILDING.replace("{head}", revisions(config)[0])
    (tmp_path / "versions" / "tomorrow.py").write_text(script)
    ours = Path(str(config.get_main_option("script_location"))) / "versions"
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join((str(ours), str(tmp_path / "versions"))))
    for revision in ("tomorrow", revisions(_config(url))[0]):
        (command.upgrade if revision == "tomorrow" else command.downgrade)(config, revision)
        assert contents(url) == rows
