"""Run control over a real catalogue, where Airflow is in the way."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from face_import import control
from face_import.catalogue import Affected, Catalogue, Changed
from face_import.clients.airflow import Run
from face_import.contract import Code, Notice, TaskState
from face_import.control import Control, run_conf
from face_import.domain.failed_rows import FailedRows
from face_import.domain.models import Measurements, Outcome, OutcomeBatch
from face_import.errors import AirflowRefused, AirflowUnavailable, WrongState
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.doubles.runs import Runs
from tests.waiting import until


class Hanging(Runs):
    """Airflow that answers no question about a run until it is let go."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.let_go = threading.Event()

    def run(self, run_id: str) -> Run | None:
        """A run, after all."""
        self.let_go.wait(60)
        return super().run(run_id)


@pytest.mark.parametrize("end", ["stop", "delete"])
def test_a_hanging_airflow_holds_up_no_stop(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The answer comes as soon as no row can start, and the run is ended once Airflow answers."""
    monkeypatch.setattr(control, "ANSWER_S", 0.0)
    task, airflow = make_task(), Hanging(settings)
    airflow.runs[task.run_id] = Run("running", 1.0)
    getattr(Control(settings, catalogue, airflow), end)(task.id)
    stopped = catalogue.tasks.peek(task.id)
    assert stopped is not None
    assert stopped.ended
    assert airflow.runs[task.run_id].active
    airflow.let_go.set()
    until(lambda: not airflow.runs[task.run_id].active)


def test_a_retry_starts_what_failed(settings: Settings, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Its run is cleared, or left to the keeper if Airflow is gone in between; without failed rows nothing happens."""
    task, airflow = make_task(shards=2, rows=1), Runs(settings)
    airflow.runs[task.run_id] = Run("success", 1.0)
    for number, code in enumerate((Code.OK, Code.URI_UNREACHABLE)):
        catalogue.leases.take(task.id, number, "me", 10)
        catalogue.ledger.write(OutcomeBatch(task.id, number, "me", (Outcome(number + 1, "u", code, face_id="f"),)))
        catalogue.leases.give_back(task.id, number, "me", in_doubt=False)
    assert catalogue.tasks.complete(task.id)
    control = Control(settings, catalogue, airflow)
    assert control.retry(task.id, FailedRows((Code.BLUR,))) == 0
    assert catalogue.tasks.get(task.id).state == TaskState.COMPLETED

    airflow.broken.add(task.run_id)
    with pytest.raises(AirflowRefused):
        control.retry(task.id, FailedRows())
    assert catalogue.tasks.get(task.id).state == TaskState.COMPLETED

    airflow.broken.clear()
    assert control.retry(task.id, FailedRows()) == 1
    again = catalogue.tasks.get(task.id)
    assert (again.state, again.attempt, again.launched_attempt, again.last_error) == (TaskState.RUNNING, 2, 2, "")
    assert airflow.cleared == [task.run_id]
    assert [part.number for part in catalogue.plans.unfinished(task.id)] == [1]


def test_new_limits_start_what_they_concern(settings: Settings, catalogue: Catalogue, make_task: MakeTask) -> None:
    """A completed task that they do not concern only gets them; a stopped one is started with them anyway."""
    task, airflow = make_task(rows=2), Runs(settings)
    airflow.runs[task.run_id] = Run("success", 1.0)
    catalogue.leases.take(task.id, 0, "me", 10)
    rows = [Outcome(n, "u", Code.OK, "", f"id-{n}", Measurements(1, 0.9, 50 * n, 100)) for n in (1, 2)]
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", tuple(rows)))
    catalogue.leases.give_back(task.id, 0, "me", in_doubt=False)
    assert catalogue.tasks.complete(task.id)
    control = Control(settings, catalogue, airflow)
    assert control.limit(task.id, Changed({"width": 40})) == Affected()
    assert (catalogue.tasks.get(task.id).state, catalogue.tasks.get(task.id).config.limits.width) == (4, 40)
    assert control.limit(task.id, Changed({"width": 60})) == Affected(removed=1)
    again = catalogue.tasks.get(task.id)
    assert (again.state, again.attempt, again.last_error) == (TaskState.RUNNING, 2, "")
    assert airflow.cleared == [task.run_id]
    catalogue.tasks.stop(task.id)
    assert control.limit(task.id, Changed({"width": 60})) == Affected()
    assert catalogue.tasks.get(task.id).state == TaskState.RUNNING


def test_a_retry_waits_for_rows_in_flight(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped task whose last rows are not finished yet is asked for again later."""
    monkeypatch.setattr(control, "LAST_ROWS_S", 0.1)
    task, airflow = make_task(), Runs(settings)
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.tasks.stop(task.id)
    with pytest.raises(WrongState, match="still in flight"):
        Control(settings, catalogue, airflow).retry(task.id, FailedRows())


def test_a_retry_of_a_running_task_is_refused_at_once(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """It waits neither for the rows in flight, after which somebody else may have stopped the task, nor for Airflow."""
    task, airflow = make_task(), Runs(settings)
    airflow.away = True
    catalogue.leases.take(task.id, 0, "me", 10)
    with pytest.raises(WrongState, match="is running"):
        Control(settings, catalogue, airflow).retry(task.id, FailedRows())


def test_a_start_that_airflow_refuses_is_undone(settings: Settings, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Airflow cannot be reached: the task is as it was, its last error too."""
    task = make_task()
    catalogue.tasks.halt(task.id, "disk full")
    airflow = Runs(settings)
    airflow.away = True
    with pytest.raises(AirflowUnavailable):
        Control(settings, catalogue, airflow).start(task.id)
    again = catalogue.tasks.get(task.id)
    assert (again.state, again.last_error) == (TaskState.STOPPED, "disk full")


def imported(catalogue: Catalogue, task_id: str) -> None:
    """Complete a task of one row, which has added a face."""
    catalogue.leases.take(task_id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task_id, 0, "me", (Outcome(1, "u", Code.OK, face_id="f"),)))
    catalogue.leases.give_back(task_id, 0, "me", in_doubt=False)
    assert catalogue.tasks.complete(task_id)


def test_an_undo_is_a_task_of_its_own(settings: Settings, catalogue: Catalogue, make_task: MakeTask) -> None:
    """It runs as any other, with the undone task's group and concurrency; asking again answers the same one."""
    task, airflow = make_task(rows=1, thread_num=7), Runs(settings)
    airflow.runs[task.run_id] = Run("success", 1.0)
    control = Control(settings, catalogue, airflow)
    with pytest.raises(WrongState, match="is running"):
        control.undo(task.id)
    imported(catalogue, task.id)
    airflow.away = True
    with pytest.raises(AirflowUnavailable):
        control.undo(task.id)
    assert catalogue.tasks.all_ids() == {task.id}

    airflow.away = False
    undo = catalogue.tasks.get(control.undo(task.id))
    assert (undo.state, undo.config.undoes, undo.config.group_name, undo.config.thread_num) == (2, task.id, "staff", 7)
    assert airflow.triggered == [undo.run_id]
    assert run_conf(undo)["source"] == f"upload:{undo.id}"
    assert control.undo(task.id) == undo.id
    control.stop(undo.id)
    assert control.undo(task.id) == undo.id
    assert catalogue.tasks.get(undo.id).state == TaskState.RUNNING
    for refused in (
        lambda: control.undo(undo.id),
        lambda: control.retry(task.id, FailedRows()),
        lambda: catalogue.tasks.start(task.id),
    ):
        with pytest.raises(WrongState):
            refused()
    control.delete(undo.id)
    assert control.undo(task.id) != undo.id


def test_an_undo_that_was_created_but_not_started_is_started(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """Whoever made it was killed, or could not reach Airflow any more."""
    task, airflow = make_task(rows=1), Runs(settings)
    imported(catalogue, task.id)
    undo = catalogue.undoing.begin(task.id, "AAAAAAAAAAAA")
    assert Control(settings, catalogue, airflow).undo(task.id) == undo.id
    assert catalogue.tasks.get(undo.id).state == TaskState.RUNNING


def test_two_undos_at_a_time_are_one(settings: Settings, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Two clients send it at the same moment."""
    task, airflow = make_task(rows=1), Runs(settings)
    imported(catalogue, task.id)
    controls = [Control(settings, catalogue, airflow) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda control: control.undo(task.id), controls))) == 1


def test_a_run_that_is_cleared_in_airflow_does_not_start_a_task_that_is_being_undone(
    catalogue: Catalogue, make_task: MakeTask
) -> None:
    """Otherwise it would add while the undo removes."""
    task = make_task(rows=2)
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (Outcome(1, "u", Code.OK, face_id="f"),)))
    catalogue.tasks.stop(task.id)
    catalogue.runs.note_queued(task.id, task.attempt, 1.0)
    later = catalogue.tasks.clock() + 60
    undo = catalogue.undoing.begin(task.id, "AAAAAAAAAAAA")
    known = catalogue.runs.run_queued(task.run_id, later)
    assert known is not None
    assert known.state == TaskState.STOPPED
    catalogue.tasks.mark_deleted(undo.id)
    known = catalogue.runs.run_queued(task.run_id, later)
    assert known is not None
    assert known.state == TaskState.RUNNING


def test_a_start_under_a_paused_dag_says_so(settings: Settings, catalogue: Catalogue, make_task: MakeTask) -> None:
    """At once, not when the keeper looks: Airflow takes the run, and does nothing."""
    task, airflow = make_task(running=False), Runs(settings)
    airflow.paused = True
    Control(settings, catalogue, airflow).start(task.id)
    assert airflow.triggered == [task.run_id]
    assert catalogue.tasks.get(task.id).notice == Notice.DAG_PAUSED
