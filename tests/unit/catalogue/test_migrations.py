"""Migrations: tables as the schema has them, and data that survives the way forward and back."""

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from face_import.catalogue import Catalogue, engine
from face_import.catalogue.schema import metadata
from face_import.settings import Settings

TASK = """
INSERT INTO import_task (id, run_id, group_name, pos_pitch, pos_yaw, pos_rol, width, height, blur_degree, thread_num,
    mode, source, state, attempt, launched_attempt, launched_at, control_until, paused, last_error, total_num,
    source_name, created_at)
VALUES ('0123456789ab', 'run', 'staff', 0, 30, 0, 0, 0, 0, 10, 0, 'faces.csv', 3, 1, 1, 0, 0, false, '', 10,
    'rows', 1.0)
"""
SHARD = """
INSERT INTO shard (task_id, number, first_row, rows, start_byte, end_byte, line, lease_until, lease_wants, lease_grant,
    claimed_to) VALUES ('0123456789ab', 0, 1, 10, 0, 100, 1, 0, 0, 0, 4)
"""


@pytest.fixture
def old(settings: Settings) -> Iterator[Engine]:
    """A catalogue of the first release with a task that was stopped."""
    engine.migrate(settings.catalogue_url, "0001")
    connected = engine.connect(settings.catalogue_url)
    with connected.begin() as connection:
        connection.execute(text(TASK))
        connection.execute(text(SHARD))
    yield connected
    connected.dispose()


def test_the_migrations_make_the_schema(settings: Settings) -> None:
    """Nothing is missing in them, and nothing is left over."""
    engine.migrate(settings.catalogue_url)
    with engine.connect(settings.catalogue_url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_task_of_the_first_release_goes_on(old: Engine, settings: Settings) -> None:
    """It imports all its rows, as it was meant to."""
    engine.migrate(settings.catalogue_url)
    catalogue = Catalogue.open(settings)
    task = catalogue.tasks.get("0123456789ab")
    assert (task.config.limits.pos_yaw, task.config.entry, task.gone_num) == (30, "", None)
    catalogue.tasks.start(task.id)
    assert catalogue.leases.take(task.id, 0, "me", 10) is not None


def test_the_way_back_keeps_tasks(old: Engine, settings: Settings) -> None:
    """What only the later release has is dropped, and the way forward is open again."""
    for _ in range(2):
        engine.migrate(settings.catalogue_url)
        command.downgrade(engine._config(settings.catalogue_url), "0001")
        with old.connect() as connection:
            assert connection.execute(text("SELECT id, pos_yaw, state FROM import_task")).all() == [
                ("0123456789ab", 30, 3)
            ]
            assert connection.execute(text("SELECT * FROM shard")).one()._asdict().keys().isdisjoint({"new_num"})


def test_tasks_of_before_share_no_idempotency_key(old: Engine, settings: Settings) -> None:
    """The index is unique, and none of them has a key."""
    with old.begin() as connection:
        connection.execute(text(TASK.replace("0123456789ab", "ba9876543210").replace("'run'", "'other'")))
    engine.migrate(settings.catalogue_url)
    assert [Catalogue.open(settings).tasks.get(i).reading for i in ("0123456789ab", "ba9876543210")] == [None, None]
