"""The task `finish`: completed if every row has an outcome, and what it says if not."""

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.exceptions import AirflowFailException

from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import ASSET_ALIAS, Code, TaskState
from face_import.domain.models import FailurePolicy
from face_import.orchestration.dag import tasks
from tests.conftest import MakeTask
from tests.unit.orchestration.conftest import FakeAirflow, write_outcomes

ALL_OK = dict.fromkeys(range(1, 11), Code.OK)


@pytest.fixture
def task(airflow: FakeAirflow, make_task: MakeTask, catalogue: Catalogue) -> ImportTask:
    """A running task of seven shards with ten rows each, whose run Airflow has."""
    task = make_task(shards=7)
    airflow.run.run_id = task.run_id
    catalogue.runs.note_queued(task.id, task.attempt, 1.0)
    return task


def finished_shards(catalogue: Catalogue, task: ImportTask, *numbers: int) -> None:
    """Give all rows of these shards an outcome; the first row of shard 0 has no face."""
    for number in numbers:
        outcomes = {number * 10 + row: code for row, code in ALL_OK.items()}
        if number == 0:
            outcomes[1] = Code.NO_FACE
        write_outcomes(catalogue, task, outcomes, shard=number)


def reason(airflow: FakeAirflow) -> str:
    """Why `finish` fails, without a retry and without an event."""
    with pytest.raises(AirflowFailException) as failure:
        airflow.call(tasks.finish)
    assert len(airflow.events) == 0
    return str(failure.value)


def test_an_import_with_all_outcomes_is_completed(airflow: FakeAirflow, task: ImportTask, catalogue: Catalogue) -> None:
    """It returns the counts, and the group's asset gets an event with them; so does a second `finish`."""
    finished_shards(catalogue, task, *range(7))
    counts = {"task": task.id, "succeeded": 69, "failed": {"201": 1}}
    for _ in range(2):
        assert airflow.call(tasks.finish) == counts
        assert catalogue.tasks.get(task.id).state == TaskState.COMPLETED
    (event, *_) = airflow.events[AssetAlias(ASSET_ALIAS)].asset_alias_events
    assert event.dest_asset_key.to_asset().uri == Asset("face-import://groups/staff").uri
    assert event.extra == counts


def test_a_run_fails_for_failures_if_asked(airflow: FakeAirflow, make_task: MakeTask, catalogue: Catalogue) -> None:
    """Its task is completed, and a second `finish` says the same; there is no event. Without failures it succeeds."""
    task = make_task(policy=FailurePolicy(fail_on_errors=1))
    airflow.run.run_id = task.run_id
    write_outcomes(catalogue, task, {**ALL_OK, 3: Code.NO_FACE, 4: Code.BLUR})
    for _ in range(2):
        assert reason(airflow).startswith("the import is completed with 2 failures (201: 1, 207: 1), and fail_on_err")
        completed = catalogue.tasks.get(task.id)
        assert (completed.state, completed.last_error) == (TaskState.COMPLETED, "")
    clean = make_task(policy=FailurePolicy(fail_on_errors=1))
    airflow.run.run_id = clean.run_id
    write_outcomes(catalogue, clean, ALL_OK)
    assert airflow.call(tasks.finish)["succeeded"] == 10


def test_an_import_of_changes_counts_them(airflow: FakeAirflow, make_task: MakeTask, catalogue: Catalogue) -> None:
    """Rows by change, beside rows by code."""
    task = make_task(entry="nightly")
    airflow.run.run_id = task.run_id
    write_outcomes(catalogue, task, ALL_OK)
    counts = airflow.call(tasks.finish)
    assert set(counts["changes"]) == {"new", "changed", "unchanged", "gone"}


def test_unfinished_shards_are_named(airflow: FakeAirflow, task: ImportTask, catalogue: Catalogue) -> None:
    """The first five, with their rows; the task is stopped with that as its last error."""
    finished_shards(catalogue, task, 0)
    airflow.ti.states = {f"shard_{number}": "failed" for number in range(7)}
    write_outcomes(catalogue, task, {11: Code.OK}, shard=1)
    said = reason(airflow)
    assert said.startswith("6 of the import's shards did not finish: 1 (rows 11-20), 2 (rows 21-30), ")
    assert "5 (rows 51-60), ...; see their logs" in said
    stopped = catalogue.tasks.get(task.id)
    assert (stopped.state, stopped.last_error) == (TaskState.STOPPED, said)


def test_what_somebody_did_in_airflow_is_told_from_what_failed(
    airflow: FakeAirflow, task: ImportTask, catalogue: Catalogue
) -> None:
    """A shard that was set to success has no log to look at; its rows are the ones to import."""
    finished_shards(catalogue, task, 0, 1, 2, 3)
    airflow.ti.states = {**{f"shard_{number}": "success" for number in range(5)}, "shard_5": "failed"}
    assert reason(airflow) == (
        "1 of the import's shards was set to success in Airflow before all rows were handled: 4 (rows 41-50); "
        "1 of the import's shards did not finish: 5 (rows 51-60); "
        "1 of the import's shards was deleted in Airflow: 6 (rows 61-70); "
        f"see their logs in Airflow's run {task.run_id}, then start the task again to import these rows"
    )


def test_an_import_without_a_plan_points_to_it(airflow: FakeAirflow, catalogue: Catalogue, task: ImportTask) -> None:
    """`plan` has failed all its tries."""
    with catalogue.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM shard")
    assert "was not planned; see the log of `plan`" in reason(airflow)
    assert catalogue.tasks.get(task.id).state == TaskState.STOPPED


def test_a_stopped_import_keeps_its_reason(airflow: FakeAirflow, task: ImportTask, catalogue: Catalogue) -> None:
    """The shards that a stop left unfinished are no error."""
    catalogue.tasks.halt(task.id, "row 3: no face")
    assert reason(airflow) == "row 3: no face"
    assert catalogue.tasks.get(task.id).last_error == "row 3: no face"


@pytest.mark.parametrize("done", [0, 7], ids=["unfinished", "all handled"])
def test_a_deleted_import_is_not_completed(
    airflow: FakeAirflow, task: ImportTask, catalogue: Catalogue, done: int
) -> None:
    """No event, whatever has become of its rows; nor is it said that shards are missing."""
    finished_shards(catalogue, task, *range(done))
    catalogue.tasks.mark_deleted(task.id)
    assert "is not running" in reason(airflow)


def test_an_import_that_was_deleted_as_it_completed_has_no_event(
    airflow: FakeAirflow, task: ImportTask, catalogue: Catalogue
) -> None:
    """Others are told of imports that are there."""
    finished_shards(catalogue, task, *range(7))
    assert catalogue.tasks.complete(task.id)
    catalogue.tasks.mark_deleted(task.id)
    assert "is not running" in reason(airflow)


def test_a_run_without_a_task_fails(airflow: FakeAirflow) -> None:
    """Its task was deleted and purged, or `plan` made none."""
    assert "is not running" in reason(airflow)
