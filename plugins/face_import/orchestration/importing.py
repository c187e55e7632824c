"""The operator that runs an import in any DAG: it starts the import and waits, deferred, until it ends.

The import's run id follows from the task instance. So whatever dies between triggering and waiting, the next try
finds the same import and waits for it: no row is handled twice.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from airflow.sdk import BaseOperator, BaseOperatorLink, Context, DagRunState
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import TriggerDagRun
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from face_import.catalogue import get_catalogue
from face_import.catalogue.reports import counts_of
from face_import.clients.airflow import ACTIVE
from face_import.contract import DAG_ID, TaskState
from face_import.domain.failures import failed_run
from face_import.domain.identity import import_of_run
from face_import.domain.notes import opening
from face_import.domain.uri import redact
from face_import.orchestration.dag.params import PARAMETERS
from face_import.settings import get_settings

POLL_S = 2.0
SETTLE_S = 10.0
"""Delay before the first look. The executor reports the end of the deferring process up to 6 s late (measured on
3.3.2); if the task resumes earlier, Airflow takes this report for the end of the resumed process, and retries it."""
GONE = "deleted"


class ImportLink(BaseOperatorLink):
    """The link from a task instance to the page of its import."""

    name = "Import"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's interface
        """The console's page that leads to the import, also while it is not there yet."""
        return f"{get_settings().console_url}/runs/{_import_of(ti_key)}"


def _signature() -> inspect.Signature:
    """`FaceImportOperator`'s: Airflow looks there for what may be mapped, or be in `default_args`."""
    required = {"source", "group_name"}
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for name in PARAMETERS:
        default = inspect.Parameter.empty if name in required else None
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
    return inspect.Signature([*parameters, inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)])


class FaceImportOperator(BaseOperator):
    """Imports a file into a face group, and waits for it without a process; succeeds or fails with the import.

    An import that is already running is only waited for, a completed one is not repeated, and a stopped one is
    resumed, unless this is a mere retry: clearing this task means to resume.

    Args:
        source: URL of the file.
        group_name: face group to import into.
        kwargs: any other parameter of the import DAG, by its name there; None leaves its default. Strings are
            templates. Everything else is passed to `BaseOperator`.

    Returns:
        Counts of the completed import: `task`, `rows`, `succeeded`, `failed` (rows by code), and `changes` if it had
        an `entry`.
    """

    template_fields = ("conf",)
    template_fields_renderers = {"conf": "json"}  # noqa: RUF012 - Airflow's interface
    operator_extra_links = (ImportLink(),)

    def __init__(self, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in PARAMETERS if name in kwargs}
        super().__init__(**kwargs)
        self.conf = {name: value for name, value in given.items() if value is not None}

    __init__.__signature__ = _signature()  # type: ignore[attr-defined]

    def execute(self, context: Context) -> Any:
        """Start the import if need be, and wait for it.

        Raises:
            AirflowFailException: a parameter is not valid, or the import was not completed.
        """
        run_id = _import_of(context["ti"])
        state, task = state_of_import(run_id), get_catalogue().tasks.peek(run_id)
        if state not in ACTIVE:
            completed = task is not None and task.state == TaskState.COMPLETED and task.deleted_at is None
            if completed or (state != GONE and is_retry(context, self.retries or 0)):
                return result_of_import(run_id)
            _trigger(run_id, self.conf, by=self.dag_id)
        self.log.info("waiting for the import task=%s", run_id)
        raise TaskDeferred(trigger=ImportEnded(run_id), method_name="ended")

    def ended(self, context: Context, event: str) -> dict[str, Any]:  # noqa: ARG002 - Airflow's interface
        """Succeed or fail with the import, whose run has ended."""
        return result_of_import(event)


def _import_of(ti: Any) -> str:
    """Id of the import of a task instance, or of its key."""
    return import_of_run(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)


def _trigger(run_id: str, conf: dict[str, Any], *, by: str) -> None:
    """Start a run of the import DAG, or clear the one that there is.

    Args:
        run_id: its id.
        conf: its parameters.
        by: DAG that starts it, for the run's note.
    """
    note = f"{opening(conf['group_name'], redact(conf['source']))} (from {by})"
    request = TriggerDagRun(dag_id=DAG_ID, run_id=run_id, logical_date=None, conf=conf, reset_dag_run=True, note=note)
    try:
        task_runner.SUPERVISOR_COMMS.send(request)
    except AirflowRuntimeError as error:
        answer = error.error.detail or {}
        if answer.get("status_code") != HTTPStatus.BAD_REQUEST:
            raise
        said = _said(answer)
        for url in (conf["source"], conf.get("callback_url")):
            said = said.replace(url, redact(url)) if url else said
        raise AirflowFailException(f"Airflow does not take the import: {said}") from None


def _said(answer: dict[str, Any]) -> str:
    """What Airflow's API said of a request that it refused: the line that names the parameter, without its schema."""
    body = answer.get("detail")
    detail = body.get("detail") if isinstance(body, dict) else None
    text = str(detail.get("message") if isinstance(detail, dict) else answer.get("message"))
    return text.partition("\n")[0]


def is_retry(context: Context, retries: int) -> bool:
    """Whether this try is Airflow's retry, not the first one after somebody cleared the task; it undoes no stop."""
    ti = context["ti"]
    return ti.max_tries is not None and ti.try_number > ti.max_tries - retries + 1


class ImportEnded(BaseTrigger):
    """Fires when an import's run has ended, or is gone.

    Args:
        run_id: the run of the import DAG.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.run_id = run_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer makes the trigger from."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"run_id": self.run_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look every two seconds; if Airflow is unavailable this try fails, and the next one continues to wait."""
        look = sync_to_async(state_of_import)  # the triggerer's connection to Airflow belongs to its event loop
        await asyncio.sleep(SETTLE_S)
        while await look(self.run_id) in ACTIVE:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(POLL_S)
        yield TriggerEvent(self.run_id)  # type: ignore[no-untyped-call]


def result_of_import(run_id: str) -> dict[str, Any]:
    """Counts of a completed import. The catalogue decides: a run can be marked as a success with rows missing.

    Raises:
        AirflowFailException: it was not completed, or with failures that are to fail its run; says why.
    """
    catalogue = get_catalogue()
    task = catalogue.tasks.peek(run_id)
    if task is None or task.deleted_at is not None:
        raise AirflowFailException(f"import {run_id} did not complete: it was deleted")
    if task.state != TaskState.COMPLETED:
        raise AirflowFailException(f"import {run_id} did not complete: {task.last_error or 'it was stopped'}")
    counts = counts_of(catalogue.ledger, task)
    if reason := failed_run(task.config.policy, counts["failed"]):
        raise AirflowFailException(reason)
    return counts


def state_of_import(run_id: str) -> str:
    """State of a run of the import DAG; `GONE` if there is none."""
    if not RuntimeTaskInstance.get_dr_count(DAG_ID, run_ids=[run_id]):
        return GONE
    try:
        return DagRunState(RuntimeTaskInstance.get_dagrun_state(DAG_ID, run_id)).value
    except AirflowRuntimeError:  # deleted in between, or Airflow is unavailable
        if RuntimeTaskInstance.get_dr_count(DAG_ID, run_ids=[run_id]):
            raise
        return GONE
