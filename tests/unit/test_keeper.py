"""The keeper's rounds over a real catalogue; the rest is in `tests/faults`."""

import pytest
from sqlalchemy import update

from face_import import keeper
from face_import.audit import AuditLog
from face_import.catalogue import Catalogue
from face_import.catalogue.schema import host
from face_import.clients.airflow import Run
from face_import.contract import Notice, TaskState
from face_import.domain.identity import pool_of_run
from face_import.keeper import Keeper
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.doubles.runs import Runs
from tests.hosts import unavailable
from tests.unit.catalogue.test_tasks import finish


@pytest.fixture
def airflow(settings: Settings) -> Runs:
    """Airflow without a run."""
    return Runs(settings)


@pytest.fixture
def kept(settings: Settings, catalogue: Catalogue, airflow: Runs, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    """A keeper that need not wait."""
    monkeypatch.setattr(keeper, "END_AFTER_S", 0.0)
    monkeypatch.setattr(keeper, "LINGER_S", 0.0)
    monkeypatch.setattr(keeper, "LAUNCH_AFTER_S", 0.0)
    return Keeper(settings, catalogue, airflow)


def test_a_clear_that_the_listener_missed_starts_the_task(
    kept: Keeper, catalogue: Catalogue, airflow: Runs, make_task: MakeTask
) -> None:
    """A run that was queued after the stop goes on with its task; one that was not is ended."""
    cleared, stopped = make_task(), make_task()
    for task in (cleared, stopped):
        catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
        catalogue.tasks.stop(task.id)
    airflow.runs = {cleared.run_id: Run("running", catalogue.tasks.clock() + 1), stopped.run_id: Run("running", 100.0)}
    for _ in range(keeper.LOOK_EVERY):  # while all is quiet it looks now and then only
        kept.round()
    assert catalogue.tasks.get(cleared.id).state == TaskState.RUNNING
    assert catalogue.tasks.get(stopped.id).state == TaskState.STOPPED
    assert airflow.runs[stopped.run_id].state == "failed"


def test_a_task_in_trouble_holds_up_no_other(
    kept: Keeper, catalogue: Catalogue, airflow: Runs, make_task: MakeTask
) -> None:
    """Airflow answers 500 for one run, and somebody has another in hand: the third is looked after all the same."""
    broken, held, lost = make_task(), make_task(), make_task()
    for task in (broken, lost):
        catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
    airflow.broken = {broken.run_id}
    with catalogue.runs.controlled(held.id):
        kept.round()
    assert "was deleted" in catalogue.tasks.get(lost.id).last_error


def test_a_lost_start_is_carried_out(kept: Keeper, catalogue: Catalogue, airflow: Runs, make_task: MakeTask) -> None:
    """A start that died before Airflow had the run is made good, once."""
    task = make_task()
    kept.round()
    kept.round()
    assert airflow.triggered == [task.run_id]
    assert catalogue.tasks.get(task.id).launched_attempt == 1


def test_a_start_that_airflow_undid_is_carried_out_again(
    kept: Keeper, catalogue: Catalogue, airflow: Runs, make_task: MakeTask
) -> None:
    """Its scheduler wrote an old verdict over the cleared run; a run that has really ended stops its task."""
    undone, ended = make_task(), make_task()
    for task in (undone, ended):
        catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
        airflow.runs[task.run_id] = Run("success", 100.0)
    airflow.cut_short = {undone.run_id}
    kept.round()
    assert airflow.cleared == [undone.run_id]
    assert catalogue.tasks.get(undone.id).state == TaskState.RUNNING
    assert "before all rows were handled" in catalogue.tasks.get(ended.id).last_error


def rounds(kept: Keeper) -> None:
    """As many as it takes until Airflow is asked what is paused."""
    for _ in range(keeper.LOOK_EVERY):
        kept.round()


def test_a_task_that_waits_for_somebody_in_airflow_says_so(
    kept: Keeper, catalogue: Catalogue, airflow: Runs, make_task: MakeTask
) -> None:
    """The DAG is paused, or the run's pool has no slots; and no longer once that has changed."""
    task = make_task()
    catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
    airflow.runs[task.run_id] = Run("running", 100.0)
    airflow.paused, airflow.slots = True, {pool_of_run(task.run_id): 0}
    rounds(kept)
    assert catalogue.tasks.get(task.id).notice == Notice.DAG_PAUSED
    airflow.paused = False
    rounds(kept)
    assert catalogue.tasks.get(task.id).notice == Notice.NO_SLOTS
    airflow.slots = {pool_of_run(task.run_id): 2}
    rounds(kept)
    assert catalogue.tasks.get(task.id).notice == ""


def test_a_run_that_was_set_to_success_names_what_is_missing(
    kept: Keeper, catalogue: Catalogue, airflow: Runs, make_task: MakeTask, settings: Settings
) -> None:
    """Somebody did that in Airflow; its shards and their rows are the ones to import."""
    task = make_task(shards=7)
    catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
    airflow.runs[task.run_id] = Run("success", 100.0)
    kept.round()
    (entry,) = AuditLog.of(settings).last(9)
    assert (entry.by, entry.action, entry.task, entry.group) == ("keeper", "stop", task.id, "staff")
    said = catalogue.tasks.get(task.id).last_error
    assert "was set to success there before all rows were handled; unfinished: 0 (rows 1-10), 1 (rows 11-20)," in said
    assert said.endswith("4 (rows 41-50), ...; start the task to resume")


def test_a_runs_note_says_which_hosts_it_waits_for(
    kept: Keeper, catalogue: Catalogue, airflow: Runs, make_task: MakeTask
) -> None:
    """Until they answer again; what somebody has written themselves stays."""
    waiting, noted, other = tasks = [make_task() for _ in range(3)]
    notes = ["staff: faces.csv (recurring: nightly)", "ask Ann first", "staff: faces.csv"]
    for task, note in zip(tasks, notes, strict=True):
        catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
        airflow.runs[task.run_id] = Run("running", 100.0, note)
    for task in (waiting, noted):
        unavailable(catalogue, task.id)
    unavailable(catalogue, waiting.id, "http://other.example.com", rows=(1,))
    kept.round()
    kept.round()
    assert airflow.runs[waiting.run_id].note == (
        "staff: faces.csv (recurring: nightly); waiting for img.example.com (429 Too Many Requests) and 1 more host"
    )
    assert [airflow.runs[task.run_id].note for task in (noted, other)] == notes[1:]
    with catalogue.engine.begin() as connection:
        connection.execute(update(host).values(since=None))
    kept.round()
    assert airflow.runs[waiting.run_id].note == notes[0]


def test_a_purge_takes_a_part_of_each_round(
    kept: Keeper, catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large ledger is removed over several rounds, so that other tasks are looked after in between."""
    monkeypatch.setattr(keeper, "PURGE_ROUND_S", 0.0)
    monkeypatch.setattr("face_import.catalogue.tasks.PURGE_ROWS", 4)
    task = make_task()
    finish(catalogue, task.id)
    catalogue.leases.give_back(task.id, 0, "me", in_doubt=False)
    catalogue.tasks.mark_deleted(task.id)
    kept.round()
    assert catalogue.ledger.handled_rows(task.id, 1, 10) == set(range(5, 11))
    for _ in range(3):
        kept.round()
    assert catalogue.tasks.peek(task.id) is None
