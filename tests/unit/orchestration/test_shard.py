"""The task `shard`: what it hands to the pipeline, and what the ends of a try mean to Airflow and to the task."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, AirflowSkipException, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import Code, TaskState
from face_import.domain.identity import task_id_of_run
from face_import.domain.models import Outcome, OutcomeBatch, Row
from face_import.errors import ConfigError, Interrupted, LeaseLost, SourceError, TaskFailed, TaskStopped
from face_import.orchestration.dag import enduring, tasks
from face_import.orchestration.dag.metrics import send_metrics
from face_import.orchestration.dag.operators import InterruptibleTask
from face_import.pipeline.work import ShardWork
from face_import.settings import Settings
from face_import.sources.storage import Storage
from tests.unit.orchestration.conftest import RUN_ID, FakeAirflow, FakeLibrary

TASK_ID = task_id_of_run(RUN_ID)
ROWS = 1000


class FakeTry:
    """Stands in for `ShardImport`: keeps the work, does what the test wants instead of it."""

    def __init__(self) -> None:
        self.work: ShardWork | None = None
        self.does: Callable[[ShardWork], None] = lambda _work: None
        self.rows: list[Row] = []
        self.stops: list[str] = []

    @asynccontextmanager
    async def opened(self, work: ShardWork, _catalogue: Catalogue, _settings: Settings) -> AsyncIterator["FakeTry"]:
        """Take the work."""
        self.work = work
        yield self

    def stop(self, reason: str) -> None:
        """Note the request."""
        self.stops.append(reason)

    async def run(self) -> None:
        """Read the rows, and do it."""
        assert self.work is not None
        self.rows = list(self.work.rows)
        self.does(self.work)


@pytest.fixture
def attempt(monkeypatch: pytest.MonkeyPatch) -> FakeTry:
    """The try at a shard."""
    attempt = FakeTry()
    monkeypatch.setattr(tasks, "opened", attempt.opened)
    monkeypatch.setattr(enduring, "BUSY_S", 0.0)
    return attempt


@pytest.fixture
def task(airflow: FakeAirflow, library: FakeLibrary, inbox: Path, catalogue: Catalogue, attempt: FakeTry) -> ImportTask:
    """A running task of two shards, planned by `plan`."""
    source = inbox / "faces.csv"
    source.write_text("".join(f"http://h/{n}.jpg,t\n" for n in range(1, ROWS + 1)))
    airflow.params["source"] = source.as_uri()
    assert airflow.call(tasks.plan) == [0, 1]
    return catalogue.tasks.get(TASK_ID)


def raises(error: Exception) -> Callable[[ShardWork], None]:
    """A try that ends with an error."""

    def end(_work: ShardWork) -> None:
        raise error

    return end


def test_a_shard_gets_its_rows(airflow: FakeAirflow, task: ImportTask, attempt: FakeTry, catalogue: Catalogue) -> None:
    """The rows of its number, under the task instance's own id; Airflow's grid shows which they are."""
    shards = catalogue.plans.shards(TASK_ID)
    for part in shards:
        airflow.call(tasks.shard, part.number)
        assert attempt.work is not None
        assert (attempt.work.task, attempt.work.shard, attempt.work.observe) == (task, part, send_metrics)
        assert attempt.work.owner == str(airflow.ti.id)
        assert [row.number for row in attempt.rows] == list(range(part.first_row, part.last_row + 1))
        assert airflow.label == f"rows {part.first_row}-{part.last_row}"
    assert sum(part.rows for part in shards) == ROWS


@pytest.mark.parametrize("dry_run", [0, 1])
def test_a_dry_run_that_was_made_real_gets_its_group(
    airflow: FakeAirflow, task: ImportTask, attempt: FakeTry, library: FakeLibrary, dry_run: int
) -> None:
    """The run's parameters are those of the dry run, for which `plan` makes none."""
    made = list(library.groups)
    airflow.params["dry_run"] = dry_run
    airflow.call(tasks.shard, 0)
    assert attempt.work is not None
    assert library.groups == made + [(task.config.group_name, made[0][1])] * dry_run


def test_airflows_own_handler_is_there_again_after_a_try(
    airflow: FakeAirflow, task: ImportTask, attempt: FakeTry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, the signal would kill a process that waits before it takes the lease again."""
    heard: list[int] = []
    losses = iter([LeaseLost("late")])

    def lose_once(_work: ShardWork) -> None:
        for error in losses:
            raise error

    attempt.does = lose_once
    monkeypatch.setattr(enduring, "_pause", lambda _s: signal.raise_signal(signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        airflow.call(tasks.shard, 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def pushes(catalogue: Catalogue, outcomes: tuple[Outcome, ...]) -> Callable[[ShardWork], None]:
    """A try that takes the lease and pushes these outcomes."""

    def do(work: ShardWork) -> None:
        catalogue.leases.take(work.task.id, work.shard.number, work.owner, 10)
        work.push(OutcomeBatch(work.task.id, work.shard.number, work.owner, outcomes))

    return do


OUTCOMES = (Outcome(1, "http://h/1.jpg", Code.OK), Outcome(2, "http://h/2.jpg", Code.NO_FACE, "no face found"))


def test_outcomes_go_through_the_xcom_to_the_ledger(
    airflow: FakeAirflow, task: ImportTask, attempt: FakeTry, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """Airflow stores a reference with the counts, and the shard's log ends with them."""
    caplog.set_level("INFO")
    attempt.does = pushes(catalogue, OUTCOMES)
    airflow.call(tasks.shard, 0)
    (stored,) = airflow.ti.xcoms
    assert stored == f"shard 0 of import {TASK_ID}: 1 succeeded, 1 failed (201 x1)"
    assert catalogue.ledger.progress(TASK_ID, 0).by_code == {Code.OK: 1, Code.NO_FACE: 1}
    assert f"imported task={TASK_ID} shard=0 succeeded=1 failed=201:1" in caplog.text


def test_an_xcom_that_airflow_does_not_store_costs_no_row(
    airflow: FakeAirflow, task: ImportTask, attempt: FakeTry, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """The ledger has the outcomes by then: the shard goes on, with a line in its log."""
    airflow.ti.refuses = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
    attempt.does = pushes(catalogue, OUTCOMES)
    airflow.call(tasks.shard, 0)
    assert catalogue.ledger.progress(TASK_ID, 0).handled == 2
    assert "Airflow did not store the XCom" in caplog.text


@pytest.mark.parametrize(
    ("error", "last_error"),
    [
        (TaskFailed("the group is gone"), "the group is gone"),
        (SourceError("the stored source was changed"), "the source cannot be read: the stored source was changed"),
        (ConfigError("s3: URLs cannot be opened"), "s3: URLs cannot be opened"),
    ],
)
def test_what_an_operator_has_to_fix_stops_the_task(
    airflow: FakeAirflow,
    task: ImportTask,
    attempt: FakeTry,
    catalogue: Catalogue,
    *,
    error: Exception,
    last_error: str,
) -> None:
    """No retry would help; the task's last error says what to do."""
    attempt.does = raises(error)
    with pytest.raises(AirflowFailException, match=last_error):
        airflow.call(tasks.shard, 0)
    stopped = catalogue.tasks.get(TASK_ID)
    assert (stopped.state, stopped.last_error) == (TaskState.STOPPED, last_error)


@pytest.mark.parametrize("error", [LeaseLost("the lease ran out"), Interrupted("asked to end")], ids=["lease", "end"])
def test_what_ends_a_try_alone_is_retried(  # noqa: PLR0917 - fixtures
    airflow: FakeAirflow,
    task: ImportTask,
    attempt: FakeTry,
    catalogue: Catalogue,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """The next try resumes the shard of the running task; the log has a line, and Airflow adds no traceback."""
    attempt.does = raises(error)
    with pytest.raises(SystemExit, match=str(tasks.TRY_AGAIN)):
        airflow.call(tasks.shard, 0)
    assert f"{error}; the next try resumes the shard" in caplog.text
    assert catalogue.tasks.get(TASK_ID) == task


def test_a_shard_of_a_stopped_task_is_skipped(
    airflow: FakeAirflow, task: ImportTask, attempt: FakeTry, catalogue: Catalogue
) -> None:
    """Both if it is stopped in the middle and if it was before: nothing has failed, and the stop has no error."""

    def stopped(_work: ShardWork) -> None:
        catalogue.tasks.stop(TASK_ID)
        raise TaskStopped("the task was stopped")

    attempt.does = stopped
    with pytest.raises(AirflowSkipException, match="the task was stopped"):
        airflow.call(tasks.shard, 0)
    attempt.work = None
    with pytest.raises(AirflowSkipException, match="is not running"):
        airflow.call(tasks.shard, 0)
    assert attempt.work is None
    assert catalogue.tasks.get(TASK_ID).last_error == ""


def test_a_shard_of_a_task_that_an_error_stopped_fails(
    airflow: FakeAirflow, task: ImportTask, attempt: FakeTry, catalogue: Catalogue
) -> None:
    """Without a retry; and so does one of an attempt whose task was started again."""
    attempt.does = raises(TaskStopped("the task was stopped"))
    with pytest.raises(AirflowFailException, match="the task was stopped"):
        airflow.call(tasks.shard, 0)
    assert catalogue.tasks.get(TASK_ID) == task
    catalogue.tasks.halt(TASK_ID, "row 7: no face")
    with pytest.raises(AirflowFailException, match="is not running"):
        airflow.call(tasks.shard, 0)
    assert catalogue.tasks.get(TASK_ID).last_error == "row 7: no face"


def test_a_storage_that_lost_the_source_stops_the_task(
    airflow: FakeAirflow, task: ImportTask, settings: Settings, catalogue: Catalogue
) -> None:
    """As the task's last error says."""
    Storage.of(settings).delete(TASK_ID)
    with pytest.raises(AirflowFailException):
        airflow.call(tasks.shard, 0)
    assert catalogue.tasks.get(TASK_ID).last_error == f"no source is stored for task {TASK_ID}"


def test_a_request_to_end_stops_the_try(airflow: FakeAirflow, task: ImportTask, attempt: FakeTry) -> None:
    """One that comes while rows are handled, and one that came before our handler was there."""
    attempt.does = lambda _work: os.kill(os.getpid(), signal.SIGTERM)
    airflow.call(tasks.shard, 0)
    assert attempt.stops == [tasks.ASKED_TO_END]
    attempt.does = lambda _work: None
    InterruptibleTask.asked_to_end = True
    airflow.call(tasks.shard, 0)
    assert attempt.stops == [tasks.ASKED_TO_END] * 2
