"""`FaceImportOperator` over a supervisor that answers for Airflow, and the trigger that it is deferred to."""

import inspect
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, ErrorType, TaskDeferred
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
from face_import.contract import Code, Mode, TaskState
from face_import.domain.identity import import_of_run
from face_import.domain.models import Limits, Shard
from face_import.operators import FaceImportOperator
from face_import.orchestration import importing
from face_import.orchestration.importing import GONE, PARAMETERS, ImportEnded, ImportLink, is_retry
from tests.unit.orchestration.conftest import write_outcomes

ENTRY_RUN = "scheduled__2030-01-01T00:00:00+00:00"
IMPORT = import_of_run("recurring_nightly", ENTRY_RUN)
INSTANCE = {"dag_id": "recurring_nightly", "run_id": ENTRY_RUN, "task_id": "import", "map_index": -1}
CONF: dict[str, Any] = {"source": "https://u:p4ss@h/2030-01-01.csv?key=t0k", "group_name": "staff", "entry": "nightly"}
NO_ANSWER = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))


class FakeSupervisor:
    """Answers a task's questions about runs of the import DAG, and keeps the runs it asks for.

    Attributes:
        runs: state of each run.
        answers: states to answer with first, in this order; an error is raised.
        triggered: requests for a run.
        refuses: what such a request raises.
    """

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.answers: list[str | Exception] = []
        self.triggered: list[TriggerDagRun] = []
        self.refuses: Exception | None = None

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
                if self.refuses is not None:
                    raise self.refuses
                self.triggered.append(msg)
                return OKResponse(ok=True)
        raise AssertionError(msg)


@pytest.fixture
def supervisor(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> FakeSupervisor:
    """Airflow, without any run."""
    supervisor = FakeSupervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    monkeypatch.setattr(importing, "get_catalogue", lambda: catalogue)
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
        operator = FaceImportOperator(task_id="import", **CONF, retries=5)
    ti = SimpleNamespace(**INSTANCE, try_number=try_number, max_tries=max_tries)
    return operator.execute(cast("Any", {"ti": ti}))


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
    assert request.note == "staff: https://h/2030-01-01.csv?… (from recurring_nightly)"


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


def test_failures_fail_the_entrys_run_if_asked(
    supervisor: FakeSupervisor, task: ImportTask, catalogue: Catalogue
) -> None:
    """The import's own run has failed for them, and the task fails with it, also if it is cleared."""
    catalogue.tasks.configure(IMPORT, fail_on_errors=1)
    catalogue.tasks.complete(IMPORT)
    supervisor.runs[IMPORT] = "failed"
    for tries in ({}, {"try_number": 2}):
        with pytest.raises(AirflowFailException, match=r"the import is completed with 1 failure \(201: 1\)"):
            execute(**tries)
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
    operator = FaceImportOperator(task_id="import", **CONF)
    with pytest.raises(AirflowFailException, match=reason):
        operator.ended(cast("Any", {}), IMPORT)


def test_the_task_succeeds_with_its_import(supervisor: FakeSupervisor, task: ImportTask, catalogue: Catalogue) -> None:
    """It returns the counts."""
    catalogue.tasks.complete(IMPORT)
    operator = FaceImportOperator(task_id="import", **CONF)
    assert operator.ended(cast("Any", {}), IMPORT)["succeeded"] == 1


def test_the_state_of_an_import(supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is not there, also one that is deleted between the two questions, is gone; no answer is no state."""
    assert importing.state_of_import(IMPORT) == GONE
    supervisor.runs[IMPORT] = "running"
    assert importing.state_of_import(IMPORT) == "running"
    supervisor.answers = [NO_ANSWER]
    with pytest.raises(AirflowRuntimeError):
        importing.state_of_import(IMPORT)
    counts = iter([1, 0])
    monkeypatch.setattr(task_runner.RuntimeTaskInstance, "get_dr_count", lambda *_, **__: next(counts))
    supervisor.answers = [NO_ANSWER]
    assert importing.state_of_import(IMPORT) == GONE


async def fired(trigger: Any) -> list[Any]:
    """Payloads of a trigger's events."""
    return [event.payload async for event in trigger.run()]


@pytest.mark.parametrize("end", ["success", "failed", GONE])
async def test_the_trigger_fires_when_the_run_has_ended(
    supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """It looks again while the run is queued or running; the triggerer makes it from what it serialized."""
    monkeypatch.setattr(importing, "SETTLE_S", 0.0)
    monkeypatch.setattr(importing, "POLL_S", 0.0)
    states = iter(["queued", "running", "running", end])
    monkeypatch.setattr(importing, "state_of_import", lambda _run_id: next(states))
    path, arguments = ImportEnded(IMPORT).serialize()
    module, _, name = path.rpartition(".")
    assert await fired(getattr(import_module(module), name)(**arguments)) == [IMPORT]
    assert list(states) == []


RETRIES = 5


@pytest.mark.parametrize(
    ("try_number", "max_tries", "expected"),
    [(1, 5, False), (2, 5, True), (6, 5, True), (2, 6, False), (3, 6, True), (4, 8, False)],
    ids=["first", "retry", "last retry", "cleared after the first", "retry after that", "cleared after a retry"],
)
def test_only_a_person_goes_on_with_a_stopped_import(try_number: int, max_tries: int, *, expected: bool) -> None:
    """Clearing raises the tries to those made and the retries; so the try after a clearing is no retry."""
    context: Any = {"ti": SimpleNamespace(try_number=try_number, max_tries=max_tries)}
    assert is_retry(context, RETRIES) is expected


def test_what_is_not_given_keeps_its_default() -> None:
    """Neither does None set a parameter; what is no parameter is the operator's own."""
    operator = FaceImportOperator(
        task_id="load", source="{{ params.url }}", group_name="staff", width=80, sheet=None, queue="slow"
    )
    assert operator.conf == {"source": "{{ params.url }}", "group_name": "staff", "width": 80}
    assert (operator.queue, operator.template_fields) == ("slow", ("conf",))


def test_a_parameter_that_does_not_exist_is_refused() -> None:
    """A misspelt limit must not be off silently; what is required is required."""
    with pytest.raises(TypeError, match="yaw_max"):
        FaceImportOperator(task_id="load", source="https://h/a.csv", group_name="staff", yaw_max=30)
    with pytest.raises(TypeError, match="group_name"):
        FaceImportOperator(task_id="load", source="https://h/a.csv")


def test_every_parameter_can_be_mapped_or_a_default_of_the_dag() -> None:
    """Airflow reads the operator's signature for both; no parameter has the name of an argument of all operators."""
    assert not set(PARAMETERS) & set(inspect.signature(BaseOperator.__init__).parameters)
    with DAG("mine", schedule=None, default_args={"group_name": "staff", "thread_num": 3}):
        single = FaceImportOperator(task_id="load", source="https://h/a.csv")
        mapped = FaceImportOperator.partial(task_id="each", width=80).expand(source=["https://h/b.csv"])
    assert single.conf == {"source": "https://h/a.csv", "group_name": "staff", "thread_num": 3}
    assert mapped.unmap({"source": "https://h/b.csv"}).conf == {
        "source": "https://h/b.csv",
        "group_name": "staff",
        "thread_num": 3,
        "width": 80,
    }


def test_each_task_instance_has_an_import_of_its_own() -> None:
    """Of several tasks of a run, and of several parts of a mapped one; the link leads to it."""
    keys = [("import", -1), ("import", 0), ("import", 1), ("load", -1), ("load", 0)]
    links = [
        ImportLink().get_link(None, ti_key=SimpleNamespace(**INSTANCE | {"task_id": task, "map_index": index}))
        for task, index in keys
    ]
    assert len(set(links)) == len(keys)
    assert links[0].endswith(f"/runs/{IMPORT}")


def test_what_airflow_refuses_fails_the_task_at_once_and_names_the_parameter(supervisor: FakeSupervisor) -> None:
    """No try would be better; only what is Airflow's own trouble is tried again."""
    message = f"Invalid input for param source: {CONF['source']!r} does not match 'a'\n\nFailed validating 'pattern'"
    refused = {"status_code": 400, "message": "Server error", "detail": {"detail": {"message": message}}}
    supervisor.refuses = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=refused))
    with pytest.raises(AirflowFailException) as failure:
        execute()
    said = "Invalid input for param source: 'https://h/2030-01-01.csv?…' does not match 'a'"
    assert str(failure.value) == f"Airflow does not take the import: {said}"
    supervisor.refuses = NO_ANSWER
    with pytest.raises(AirflowRuntimeError):
        execute()
