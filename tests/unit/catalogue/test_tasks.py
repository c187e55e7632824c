"""Import tasks: compare-and-set states, control, planning once, and purge."""

import threading

import pytest

from face_import.catalogue import Catalogue, tasks
from face_import.catalogue.reports import Overview
from face_import.contract import TaskState
from face_import.domain.models import Shard
from face_import.errors import TaskNotFound, TaskStopped, WrongState
from tests.conftest import MakeTask
from tests.unit.catalogue.test_ledger import batch


def finish(catalogue: Catalogue, task_id: str, rows: int = 10) -> None:
    """Handle all rows of a one-shard task."""
    catalogue.leases.take(task_id, 0, "me", rows)
    catalogue.ledger.write(batch(task_id, range(1, rows + 1)))


def test_start_clears_the_last_error_and_counts_attempts(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A start after an error begins a new attempt without it."""
    task = make_task()
    catalogue.tasks.halt(task.id, "disk full")
    assert catalogue.tasks.get(task.id).last_error == "disk full"
    catalogue.tasks.start(task.id)
    again = catalogue.tasks.get(task.id)
    assert (again.state, again.attempt, again.last_error) == (TaskState.RUNNING, 2, "")


def test_what_a_state_does_not_allow_is_refused(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Start of a running or completed task and stop of one that is not running name the state."""
    task = make_task()
    with pytest.raises(WrongState, match="is running; it cannot be started"):
        catalogue.tasks.start(task.id)
    finish(catalogue, task.id)
    assert catalogue.tasks.complete(task.id)
    with pytest.raises(WrongState, match="is completed; it cannot be started"):
        catalogue.tasks.start(task.id)
    with pytest.raises(WrongState, match="is completed; it cannot be stopped"):
        catalogue.tasks.stop(task.id)


def test_a_task_completes_only_with_every_row(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Rows without an outcome keep a task from completing."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(batch(task.id, range(1, 10)))
    assert not catalogue.tasks.complete(task.id)
    catalogue.ledger.write(batch(task.id, [10]))
    assert catalogue.tasks.complete(task.id)


def test_one_of_many_stops_wins(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Of stops at the same time exactly one succeeds; the others are told."""
    task, results = make_task(), list[bool]()

    def stop() -> None:
        try:
            catalogue.tasks.stop(task.id)
            results.append(True)
        except WrongState:
            results.append(False)

    threads = [threading.Thread(target=stop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]


def test_the_first_plan_stands(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A second plan of a task changes neither shards nor total."""
    task = make_task(shards=2)
    before = catalogue.plans.shards(task.id)
    catalogue.plans.commit(task.id, [Shard(0, 1, 99, 0, 1, 1)], 99)
    assert catalogue.plans.shards(task.id) == before
    assert catalogue.tasks.get(task.id).total_num == 20


def test_a_shard_is_read_alone(catalogue: Catalogue, make_task: MakeTask) -> None:
    """It is the same one as in the plan; one that is not planned is not there."""
    task = make_task(shards=3)
    assert catalogue.plans.shard(task.id, 1) == catalogue.plans.shards(task.id)[1]
    with pytest.raises(TaskNotFound):
        catalogue.plans.shard(task.id, 3)


def test_control_is_in_one_hand(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A second operation on the same task waits, and is refused when it takes too long."""
    task = make_task()
    with (
        catalogue.runs.controlled(task.id),
        pytest.raises(WrongState, match="another operation"),
        catalogue.runs.controlled(task.id, patience_s=0.1),
    ):
        pytest.fail("two hands on one task")
    with catalogue.runs.controlled(task.id, patience_s=0.1):
        pass


def test_a_run_cleared_in_airflow_starts_its_stopped_task(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A run that was queued after our launch and after the stop was cleared by a person: the task runs again."""
    task = make_task()
    catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
    catalogue.tasks.stop(task.id)
    catalogue.runs.run_queued(task.run_id, queued_at=catalogue.tasks.clock() + 1)
    resumed = catalogue.tasks.get(task.id)
    assert (resumed.state, resumed.attempt, resumed.launched_attempt) == (TaskState.RUNNING, 2, 2)


@pytest.mark.parametrize("launch", ["noted", "unknown"])
def test_our_own_launch_is_no_start(catalogue: Catalogue, make_task: MakeTask, launch: str) -> None:
    """A task that was stopped while we launched its run stays stopped, also if the launch died before its note."""
    task = make_task()
    catalogue.tasks.stop(task.id)
    queued_at = catalogue.tasks.clock() + 1
    if launch == "noted":
        catalogue.runs.note_queued(task.id, 1, queued_at)
    catalogue.runs.run_queued(task.run_id, queued_at)
    assert catalogue.tasks.get(task.id).state == TaskState.STOPPED


def test_a_clear_before_the_stop_is_no_start(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Somebody cleared a task instance of the running import, and then it was stopped: the stop holds."""
    task = make_task()
    catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
    catalogue.tasks.stop(task.id)
    catalogue.runs.run_queued(task.run_id, queued_at=catalogue.tasks.clock() - 5)
    assert catalogue.tasks.get(task.id).state == TaskState.STOPPED


def test_old_news_of_a_failed_run_is_ignored(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A failure from before our launch, or in the middle of it, does not stop the new attempt; a later one does."""
    task = make_task()
    catalogue.runs.run_failed(task.run_id, 150.0, "in the middle")
    catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
    catalogue.runs.run_failed(task.run_id, 99.0, "old")
    assert catalogue.tasks.get(task.id).state == TaskState.RUNNING
    catalogue.runs.run_failed(task.run_id, 101.0, "new")
    assert catalogue.tasks.get(task.id).last_error == "new"


def test_a_failed_run_whose_rows_are_all_done_completes_its_task(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Somebody cleared the last shard alone: Airflow's run fails for want of `finish`, but no row is missing."""
    task = make_task()
    catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
    finish(catalogue, task.id)
    catalogue.runs.run_failed(task.run_id, 101.0, "failed")
    assert catalogue.tasks.get(task.id).state == TaskState.COMPLETED


def test_news_from_an_earlier_try_stops_nothing(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A task instance of a run from before our launch cannot stop the new attempt; one of the new run can."""
    task = make_task()
    catalogue.runs.note_queued(task.id, 1, queued_at=100.0)
    assert not catalogue.tasks.halt(task.id, "old", run_began=99.0)
    assert catalogue.tasks.halt(task.id, "new", run_began=101.0)


def test_text_that_no_database_takes_is_cleaned(catalogue: Catalogue, make_task: MakeTask) -> None:
    """NUL and half of a surrogate pair in a service's answer do not end a try."""
    task = make_task()
    catalogue.tasks.halt(task.id, "a\0b\ud800c")
    assert catalogue.tasks.get(task.id).last_error.startswith("a\ufffdb\ufffd")


def test_a_deleted_task_takes_no_plan(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A plan that ends after the delete commits nothing."""
    task = make_task()
    catalogue.tasks.mark_deleted(task.id)
    with pytest.raises(TaskStopped):
        catalogue.plans.commit(task.id, [Shard(0, 1, 99, 0, 1, 1)], 99)


def test_a_deleted_task_is_gone_at_once_and_purged_in_portions(
    catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the tombstone rows go portion by portion; another task's stay; a second delete is refused."""
    monkeypatch.setattr(tasks, "PURGE_ROWS", 4)
    task, other = make_task(), make_task()
    finish(catalogue, task.id)
    finish(catalogue, other.id)
    catalogue.tasks.mark_deleted(task.id)
    with pytest.raises(TaskNotFound):
        catalogue.tasks.get(task.id)
    with pytest.raises(TaskNotFound):
        catalogue.tasks.mark_deleted(task.id)
    portions = 0
    while catalogue.tasks.purge_some(task.id):
        portions += 1
    assert portions == 3
    assert catalogue.tasks.peek(task.id) is None
    assert catalogue.ledger.progress(other.id).handled == 10


def test_tasks_are_listed_by_group_and_state(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A group's ids come oldest first, narrowed by state, without deleted ones."""
    created, running, deleted = make_task(running=False), make_task(), make_task()
    catalogue.tasks.mark_deleted(deleted.id)
    assert Overview(catalogue.engine, ["staff"]).ids() == [created.id, running.id]
    assert Overview(catalogue.engine, ["staff"]).ids(state=TaskState.RUNNING) == [running.id]
    assert Overview(catalogue.engine, ["other"]).ids() == []
