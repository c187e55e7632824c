"""The tasks of a recurring import over a supervisor that answers for Airflow, and the trigger they are deferred to."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest
from airflow.sdk import DAG, BaseSensorOperator
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRuntimeError,
    AirflowSensorTimeout,
    ErrorType,
    TaskDeferred,
)
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    DagRunStateResult,
    DRCount,
    ErrorResponse,
    GetDagRunState,
    GetDRCount,
    OKResponse,
    TriggerDagRun,
)

from face_import.catalogue import Catalogue, ImportTask, TaskConfig
from face_import.clients.transfer import TransientFetchError
from face_import.contract import Code, Mode, TaskState
from face_import.domain.identity import import_of_run
from face_import.domain.models import Limits, Shard
from face_import.orchestration.recurring import waiting
from face_import.orchestration.recurring.waiting import GONE, ImportEnded, RunImportOperator, SourceSensor
from face_import.settings import Settings
from tests.unit.orchestration.conftest import write_outcomes

ENTRY_RUN = "scheduled__2030-01-01T00:00:00+00:00"
IMPORT = import_of_run("recurring_nightly", ENTRY_RUN)
CONF = {"source": "https://u:p4ss@h/2030-01-01.csv?key=t0k", "group_name": "staff", "entry": "nightly"}
NO_ANSWER = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))


class FakeSupervisor:
    """Answers a task's questions about runs of the import DAG, and keeps the runs it asks for.

    Attributes:
        runs: state of each run.
        answers: states to answer with first, in this order; an error is raised.
        triggered: requests for a run.
    """

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.answers: list[str | Exception] = []
        self.triggered: list[TriggerDagRun] = []

    def send(self, msg: Any) -> Any:
        """Answer."""
        match msg:
            case GetDRCount(dag_id="face_import", run_ids=run_ids):
                return DRCount(count=sum(run_id in self.runs for run_id in run_ids or []))
            case GetDagRunState(dag_id="face_import", run_id=run_id):
                answer = self.answers.pop(0) if self.answers else self.runs[run_id]
                if isinstance(answer, Exception):
                    raise answer
                return DagRunStateResult(state=answer)
            case TriggerDagRun():
                self.triggered.append(msg)
                return OKResponse(ok=True)
        raise AssertionError(msg)


@pytest.fixture
def supervisor(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> FakeSupervisor:
    """Airflow, without any run."""
    supervisor = FakeSupervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    monkeypatch.setattr(waiting, "get_catalogue", lambda: catalogue)
    return supervisor


@pytest.fixture
def task(catalogue: Catalogue) -> ImportTask:
    """The import of the entry's run: two rows, one of them without a face."""
    config = TaskConfig("staff", "https://h/2030-01-01.csv?…", Limits(), 10, Mode.SKIP, "nightly")
    catalogue.tasks.add(IMPORT, IMPORT, config, state=TaskState.RUNNING)
    catalogue.plans.commit(IMPORT, [Shard(0, 1, 2, 0, 100, 1)], 2)
    write_outcomes(catalogue, catalogue.tasks.get(IMPORT), {1: Code.OK, 2: Code.NO_FACE})
    return catalogue.tasks.get(IMPORT)


def execute(try_number: int = 1, max_tries: int = 5) -> Any:
    """What a try of the task returns or raises; with the defaults it is the first one."""
    with DAG("recurring_nightly", schedule=None):
        operator = RunImportOperator(task_id="import", conf=CONF, entry="nightly", retries=5)
    context: Any = {"run_id": ENTRY_RUN, "ti": SimpleNamespace(try_number=try_number, max_tries=max_tries)}
    return operator.execute(context)


def deferred(**tries: int) -> None:
    """Check that the try waits for the import."""
    with pytest.raises(TaskDeferred) as wait:
        execute(**tries)
    assert wait.value.method_name == "ended"
    assert isinstance(wait.value.trigger, ImportEnded)
    assert wait.value.trigger.run_id == IMPORT


def test_the_first_try_starts_the_import_and_waits(supervisor: FakeSupervisor) -> None:
    """Under a run id that follows from its own; the note shows where the rows come from, without secrets."""
    deferred()
    (request,) = supervisor.triggered
    assert (request.dag_id, request.run_id, request.reset_dag_run) == ("face_import", IMPORT, True)
    assert request.conf == CONF
    assert request.note == "staff: https://h/2030-01-01.csv?… (recurring: nightly)"


@pytest.mark.parametrize("state", ["queued", "running"])
@pytest.mark.parametrize("try_number", [1, 2])
def test_an_import_that_is_under_way_is_waited_for(supervisor: FakeSupervisor, state: str, try_number: int) -> None:
    """Whoever started it, a try before this one as a rule."""
    supervisor.runs[IMPORT] = state
    deferred(try_number=try_number)
    assert supervisor.triggered == []


def test_a_completed_import_is_not_repeated(supervisor: FakeSupervisor, task: ImportTask, catalogue: Catalogue) -> None:
    """Not even when the task is cleared: its counts are the result."""
    catalogue.tasks.complete(IMPORT)
    supervisor.runs[IMPORT] = "success"
    counts = execute(try_number=1)
    assert (counts["task"], counts["succeeded"], counts["failed"]) == (IMPORT, 1, {"201": 1})
    assert set(counts["changes"]) == {"new", "changed", "unchanged", "gone"}
    assert supervisor.triggered == []


def test_clearing_resumes_a_stopped_import_and_a_retry_does_not(
    supervisor: FakeSupervisor, task: ImportTask, catalogue: Catalogue
) -> None:
    """A retry fails with the reason of the stop, for good."""
    supervisor.runs[IMPORT] = "failed"
    catalogue.tasks.halt(IMPORT, "row 2: no face")
    with pytest.raises(AirflowFailException, match=f"import {IMPORT} did not complete: row 2: no face"):
        execute(try_number=2)
    assert supervisor.triggered == []
    deferred(try_number=2, max_tries=6)
    assert [request.run_id for request in supervisor.triggered] == [IMPORT]


def test_a_retry_starts_what_no_try_before_it_has_started(supervisor: FakeSupervisor) -> None:
    """That one died before it asked Airflow for the run."""
    deferred(try_number=2)
    assert [request.run_id for request in supervisor.triggered] == [IMPORT]


@pytest.mark.parametrize(
    ("change", "reason"), [("stop", "it was stopped"), ("mark_deleted", "it was deleted")], ids=["stopped", "deleted"]
)
def test_the_task_fails_with_its_import(
    supervisor: FakeSupervisor, task: ImportTask, catalogue: Catalogue, change: str, reason: str
) -> None:
    """Whatever Airflow says of the import's run, which can be marked a success by hand."""
    getattr(catalogue.tasks, change)(IMPORT)
    operator = RunImportOperator(task_id="import", conf=CONF, entry="nightly")
    with pytest.raises(AirflowFailException, match=reason):
        operator.ended(cast("Any", {}), IMPORT)


def test_the_task_succeeds_with_its_import(supervisor: FakeSupervisor, task: ImportTask, catalogue: Catalogue) -> None:
    """It returns the counts."""
    catalogue.tasks.complete(IMPORT)
    operator = RunImportOperator(task_id="import", conf=CONF, entry="nightly")
    assert operator.ended(cast("Any", {}), IMPORT)["succeeded"] == 1


def test_the_state_of_an_import(supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is not there, also one that is deleted between the two questions, is gone; no answer is no state."""
    assert waiting.state_of_import(IMPORT) == GONE
    supervisor.runs[IMPORT] = "running"
    assert waiting.state_of_import(IMPORT) == "running"
    supervisor.answers = [NO_ANSWER]
    with pytest.raises(AirflowRuntimeError):
        waiting.state_of_import(IMPORT)
    counts = iter([1, 0])
    monkeypatch.setattr(task_runner.RuntimeTaskInstance, "get_dr_count", lambda *_, **__: next(counts))
    supervisor.answers = [NO_ANSWER]
    assert waiting.state_of_import(IMPORT) == GONE


async def fired(trigger: Any) -> list[Any]:
    """Payloads of a trigger's events."""
    return [event.payload async for event in trigger.run()]


@pytest.mark.parametrize("end", ["success", "failed", GONE])
async def test_the_trigger_fires_when_the_run_has_ended(
    supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """It looks again while the run is queued or running; the triggerer makes it from what it serialized."""
    monkeypatch.setattr(waiting, "SETTLE_S", 0.0)
    monkeypatch.setattr(waiting, "POLL_S", 0.0)
    states = iter(["queued", "running", "running", end])
    monkeypatch.setattr(waiting, "state_of_import", lambda _run_id: next(states))
    path, arguments = ImportEnded(IMPORT).serialize()
    module, _, name = path.rpartition(".")
    assert await fired(getattr(import_module(module), name)(**arguments)) == [IMPORT]
    assert list(states) == []


@pytest.fixture
def sensor(settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> SourceSensor:
    """A sensor for a file that is not there yet."""
    monkeypatch.setattr(waiting, "get_settings", lambda: settings)
    return SourceSensor(task_id="wait_for_source", source=(inbox / "faces.csv").as_uri(), patience_s=300)


def test_a_source_is_there_once_it_can_be_opened(sensor: SourceSensor, inbox: Path) -> None:
    """Until then the sensor remembers why not."""
    assert sensor.poke(cast("Any", {})) is False
    assert "No such file" in sensor.why
    (inbox / "faces.csv").write_text("uri\n")
    assert sensor.poke(cast("Any", {})) is True


def test_a_host_that_is_down_may_come_back(sensor: SourceSensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is not the file is no reason to fail."""

    @contextmanager
    def open_http(_url: str, _settings: Settings) -> Iterator[BinaryIO]:
        raise TransientFetchError("503 Service Unavailable")
        yield BytesIO()

    monkeypatch.setattr(waiting, "open_http", open_http)
    sensor.source = "https://h/faces.csv"
    assert sensor.poke(cast("Any", {})) is False
    assert sensor.why == "503 Service Unavailable"


def test_a_source_that_is_not_allowed_is_not_waited_for(sensor: SourceSensor) -> None:
    """It fails without a retry."""
    sensor.source = "file:///etc/passwd"
    with pytest.raises(AirflowFailException, match="not allowed"):
        sensor.poke(cast("Any", {}))


def test_the_end_of_the_patience_has_a_reason(sensor: SourceSensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last look has found, and no secret of the URL."""

    def timed_out(self: SourceSensor, context: Any) -> None:
        self.poke(context)
        raise AirflowSensorTimeout("Sensor has timed out")

    monkeypatch.setattr(BaseSensorOperator, "execute", timed_out)
    with pytest.raises(AirflowFailException, match=r"waited 300 s for the source file:.*No such file"):
        sensor.execute(cast("Any", {}))


@pytest.mark.parametrize(("patience_s", "interval_s"), [(3, 1), (300, 30), (86_400, 60)])
def test_the_sensor_looks_often_enough(patience_s: int, interval_s: float) -> None:
    """Ten times within its patience, between every second and every minute; in between no process waits."""
    sensor = SourceSensor(task_id="wait", source="https://h/a.csv", patience_s=patience_s)
    assert (sensor.poke_interval, sensor.timeout, sensor.mode) == (interval_s, patience_s, "reschedule")
