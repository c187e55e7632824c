"""Finished imports are deleted when their time is over, and no others."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from face_import import catalogue as package
from face_import import keeper
from face_import.audit import AuditLog
from face_import.catalogue import Catalogue
from face_import.catalogue.schema import import_task
from face_import.cli import app, stack
from face_import.errors import TaskNotFound
from face_import.keeper import DAY_S, Keeper
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.doubles.runs import Runs
from tests.unit.catalogue.test_tasks import finish

Kinds = dict[str, str]
Prune = Callable[..., str]


@pytest.fixture
def kinds(catalogue: Catalogue, make_task: MakeTask) -> Kinds:
    """Ids of a task of each kind, all of them 10 days old but for the last."""
    tasks = {name: make_task(running=name != "created").id for name in ("created", "running")}
    tasks |= {name: make_task().id for name in ("completed", "stopped", "again", "fresh")}
    for name in ("completed", "fresh"):
        finish(catalogue, tasks[name])
        catalogue.tasks.complete(tasks[name])
    for name in ("stopped", "again"):
        catalogue.tasks.stop(tasks[name])
    age(catalogue, 10, *(tasks[name] for name in tasks if name != "fresh"))
    catalogue.tasks.start(tasks["again"])
    catalogue.tasks.stop(tasks["again"])
    return tasks


def age(catalogue: Catalogue, days: int, *task_ids: str) -> None:
    """Put all that happened to tasks so many days back."""
    columns = import_task.c
    times = (columns.created_at, columns.started_at, columns.stopped_at, columns.finished_at)
    with catalogue.engine.begin() as connection:
        connection.execute(
            update(import_task).where(columns.id.in_(task_ids)).values({c.name: c - days * DAY_S for c in times})
        )


def left(catalogue: Catalogue, kinds: Kinds) -> set[str]:
    """The kinds that are still there."""
    return set(kinds) - {name for name in kinds if catalogue.tasks.peek(kinds[name]).deleted_at is not None}


def test_only_what_has_long_been_finished_goes(catalogue: Catalogue, kinds: Kinds) -> None:
    """A task that runs, never ran, ended lately, or was stopped lately for the second time stays."""
    gone = catalogue.tasks.mark_expired_deleted(9 * DAY_S)
    assert set(gone) == {kinds["completed"], kinds["stopped"]}
    assert left(catalogue, kinds) == set(kinds) - {"completed", "stopped"}
    with pytest.raises(TaskNotFound):
        catalogue.tasks.get(kinds["completed"])
    assert catalogue.tasks.mark_expired_deleted(9 * DAY_S) == []


def test_the_time_is_counted_from_the_end(catalogue: Catalogue, kinds: Kinds) -> None:
    """Ten days old is not eleven."""
    assert catalogue.tasks.mark_expired_deleted(11 * DAY_S) == []


def test_a_sweep_takes_the_oldest_first(
    catalogue: Catalogue, kinds: Kinds, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first use does not keep the keeper from its other work."""
    monkeypatch.setattr(keeper, "EXPIRE_AT_ONCE", 1)
    age(catalogue, 5, kinds["stopped"])
    kept = Keeper(settings.model_copy(update={"retention_days": 9}), catalogue, Runs(settings))
    kept.sweep()
    assert left(catalogue, kinds) == set(kinds) - {"stopped"}
    kept.sweep()
    assert left(catalogue, kinds) == set(kinds) - {"stopped", "completed"}


def test_the_keeper_removes_source_and_rows(
    catalogue: Catalogue, kinds: Kinds, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of an expired task is left, on the disk or in the catalogue."""
    monkeypatch.setattr(keeper, "LINGER_S", 0.0)
    source = settings.home / "storage" / "sources" / kinds["completed"] / "upload.csv"
    source.parent.mkdir(parents=True)
    source.write_text("http://x/1.jpg")
    catalogue.leases.give_back(kinds["completed"], 0, "me", in_doubt=False)
    kept = Keeper(settings.model_copy(update={"retention_days": 9}), catalogue, Runs(settings))
    kept.sweep()
    kept.round()
    assert not source.parent.exists()
    assert catalogue.tasks.peek(kinds["completed"]) is None
    assert not catalogue.ledger.handled_rows(kinds["completed"], 1, 10)
    found = {(one.by, one.action) for one in AuditLog.of(settings).last(9) if one.task == kinds["completed"]}
    assert found == {("keeper", "delete"), ("keeper", "purge")}


def test_without_the_setting_all_is_kept(catalogue: Catalogue, kinds: Kinds, settings: Settings) -> None:
    """0 is the default, and keeps."""
    Keeper(settings, catalogue, Runs(settings)).sweep()
    assert left(catalogue, kinds) == set(kinds)


@pytest.fixture
def prune(catalogue: Catalogue, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Prune:
    """Call the command on this test's catalogue; returns its output, or the text of the error it ended with."""
    monkeypatch.setattr(package, "get_catalogue", lambda: catalogue)
    monkeypatch.setattr(stack, "get_settings", lambda: settings)

    def call(*options: str) -> str:
        done = CliRunner().invoke(app, ["prune", *options])
        return done.output + str(done.exception or "")

    return call


def test_a_dry_run_names_them_and_deletes_nothing(
    catalogue: Catalogue, kinds: Kinds, prune: Prune, settings: Settings
) -> None:
    """The table has what the next command would delete."""
    shown = prune("--days", "9", "--dry-run")
    assert {task_id for task_id in kinds.values() if re.search(re.escape(task_id), shown)} == {
        kinds["completed"],
        kinds["stopped"],
    }
    assert left(catalogue, kinds) == set(kinds)
    assert AuditLog.of(settings).last(9) == []
    assert prune("--days", "9").startswith("deleted 2 imports")
    assert left(catalogue, kinds) == set(kinds) - {"completed", "stopped"}
    audited = [(one.by, one.action, one.task) for one in AuditLog.of(settings).last(9)]
    assert sorted(audited) == sorted(("command", "delete", kinds[name]) for name in ("completed", "stopped"))


def test_prune_asks_how_long(catalogue: Catalogue, kinds: Kinds, prune: Prune) -> None:
    """Without a setting and without days it must not guess, and 0 days is refused."""
    assert "pass --days" in prune()
    assert "days" in prune("--days", "0")
    assert left(catalogue, kinds) == set(kinds)
