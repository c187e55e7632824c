"""What is known of a group: its imports are counted and its faces traced to their rows, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from face_import.catalogue import Catalogue, GroupImports, GroupRecord, Origin, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.catalogue.reports import Overview
from face_import.contract import Code, Mode, TaskState
from face_import.domain.identity import made_face_id, new_task_id
from face_import.domain.models import Added, Limits, Outcome, OutcomeBatch, Scope, Shard
from face_import.settings import Settings
from tests import servers

LIMITS, WHOLE, DRY = Limits(), Scope(), Scope(dry_run=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    """An empty catalogue in each kind of database."""
    try:
        with servers.databases(1 if request.param == "postgresql" else 0) as urls:
            url = urls[0] if urls else f"sqlite:///{tmp_path / 'catalogue.db'}"
            migrate(url)
            catalogue = Catalogue.open(Settings(home=tmp_path, database_url=url))
            yield catalogue
            catalogue.engine.dispose()
    except servers.Unavailable as reason:
        servers.skip(reason)


def begun(catalogue: Catalogue, group: str, *, scope: Scope = WHOLE, undoes: str = "") -> str:
    """A running import of two rows into a group."""
    task_id = new_task_id()
    config = TaskConfig(group, "faces.csv", LIMITS, 10, Mode.SKIP, scope=scope, undoes=undoes)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=2)
    catalogue.plans.commit(task_id, [Shard(0, 1, 2, 0, 200, 1)], 2)
    catalogue.tasks.start(task_id)
    return task_id


def imported(catalogue: Catalogue, group: str, *outcomes: Outcome, scope: Scope = WHOLE, undoes: str = "") -> str:
    """An import with these outcomes."""
    task_id = begun(catalogue, group, scope=scope, undoes=undoes)
    write(catalogue, task_id, *outcomes)
    return task_id


def write(catalogue: Catalogue, task_id: str, *outcomes: Outcome) -> None:
    """Write outcomes as the task's shard does."""
    catalogue.leases.take(task_id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task_id, 0, "me", outcomes))


def added(row: int, face_id: str) -> Outcome:
    """A row that has added a face."""
    return Outcome(row, f"http://x/{row}.jpg", Code.OK, "", face_id)


def test_imports_are_counted(catalogue: Catalogue) -> None:
    """By state; of rows, those that concern the group's faces: no dry run, no undo, nothing deleted, no other group."""
    failed = Outcome(2, "http://x", Code.NO_FACE)
    imported(catalogue, "staff", added(1, "a"), failed)
    second = imported(catalogue, "staff", added(1, "b"), added(2, "c"))
    catalogue.tasks.complete(second)
    imported(catalogue, "staff", Outcome(1, "", Code.OK), failed, scope=DRY)
    imported(catalogue, "staff", Outcome(1, "", Code.OK), undoes=second)
    catalogue.tasks.mark_deleted(imported(catalogue, "staff", added(1, "d"), failed))
    imported(catalogue, "staff-2", added(1, "e"), failed)
    found = GroupRecord(catalogue.engine, "staff").imports()
    assert found == GroupImports({TaskState.RUNNING: 3, TaskState.COMPLETED: 1}, imported=3, failed=1)
    assert found.total == 4
    assert GroupRecord(catalogue.engine, "nobody").imports() == GroupImports({}, 0, 0)


def test_faces_are_traced_to_their_rows(catalogue: Catalogue) -> None:
    """By own ids and made ones; what others have added, or other groups have, is not known."""
    failed = Outcome(2, "http://x", Code.NO_FACE)
    task_id, other = (imported(catalogue, group, added(1, "anna"), failed) for group in ("staff", "guests"))
    made_by = begun(catalogue, "staff")
    made = [made_face_id(made_by, row) for row in (1, 2, 3)]
    write(catalogue, made_by, added(1, made[0]), failed)
    asked = ["anna", "bob", "employee-usa-4155551234", *made, made_face_id(other, 1), "\0", "\ud800", "", "x" * 5000]
    assert GroupRecord(catalogue.engine, "staff").origins(asked) == {
        "anna": Origin(task_id, 1, "http://x/1.jpg"),
        made[0]: Origin(made_by, 1, "http://x/1.jpg"),
    }
    assert GroupRecord(catalogue.engine, "guests").origins(["anna"])["anna"].task_id == other


def test_the_newest_row_of_an_id_counts(catalogue: Catalogue) -> None:
    """Its face may have been removed and added again by another import, which may have been deleted since."""
    first = imported(catalogue, "staff", added(1, "anna"))
    second = imported(catalogue, "staff", added(2, "anna"))
    record = GroupRecord(catalogue.engine, "staff")
    assert record.origins(["anna"])["anna"] == Origin(second, 2, "http://x/2.jpg")
    catalogue.tasks.mark_deleted(second)
    assert record.origins(["anna"])["anna"] == Origin(first, 1, "http://x/1.jpg")
    catalogue.tasks.stop(first)
    undone = Outcome(1, "", Code.OK, "removed anna", undone=Added(1, 0.0))
    imported(catalogue, "staff", undone, undoes=first)
    assert record.origins(["anna"]) == {}


def test_groups_are_listed_by_their_newest_import(catalogue: Catalogue) -> None:
    """Each once, of those that may be seen, and not endlessly many."""
    for group in ("staff", "guests", "crew", "staff"):
        begun(catalogue, group)
    catalogue.tasks.mark_deleted(imported(catalogue, "gone"))
    assert Overview(catalogue.engine).groups() == ["staff", "crew", "guests"]
    assert Overview(catalogue.engine).groups(limit=2) == ["staff", "crew"]
    assert Overview(catalogue.engine, ("guests", "staff")).groups() == ["staff", "guests"]


def test_a_group_is_not_the_part_of_a_name(catalogue: Catalogue) -> None:
    """A page of tasks of one group has no others, whose names contain that one."""
    for group in ("staff", "staff-2"):
        begun(catalogue, group)
    overview = Overview(catalogue.engine)
    assert [found.task.config.group_name for found in overview.page(group="staff").tasks] == ["staff"]
    assert overview.page(containing="staff").total == 2
