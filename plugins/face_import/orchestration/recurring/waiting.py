"""The two tasks of a recurring import: wait for its source, then start the import and wait, deferred, until it ends.

The import's run id is derived from the entry's run. So whatever dies between triggering and waiting, the next try
finds the same import and waits for it: no row is handled twice.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator, BaseSensorOperator, Context, DagRunState
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, AirflowSensorTimeout, TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import TriggerDagRun
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from face_import.catalogue import get_catalogue
from face_import.catalogue.reports import counts_of
from face_import.clients.airflow import ACTIVE
from face_import.clients.download import open_http
from face_import.clients.transfer import FetchError
from face_import.contract import DAG_ID, TaskState
from face_import.domain.identity import import_of_run
from face_import.domain.uri import redact
from face_import.errors import SourceError, SourceMissing
from face_import.orchestration.plugin import notes
from face_import.settings import get_settings
from face_import.sources.location import open_source

POLL_S = 2.0
SETTLE_S = 10.0
"""Delay before the first look. The executor reports the end of the deferring process up to 6 s late (measured on
3.3.2); if the task resumes earlier, Airflow takes this report for the end of the resumed process, and retries it."""
GONE = "deleted"


class SourceSensor(BaseSensorOperator):
    """Succeeds once the source can be opened; fails with the reason if it cannot within the patience.

    Args:
        source: template of its URL.
        patience_s: how long to wait. No process is kept between two looks.
    """

    template_fields = ("source",)

    def __init__(self, *, source: str, patience_s: int, **kwargs: Any) -> None:
        often = min(60.0, max(1.0, patience_s / 10))
        super().__init__(mode="reschedule", timeout=patience_s, poke_interval=often, **kwargs)
        self.source = source
        self.patience_s = patience_s
        self.why = ""

    def execute(self, context: Context) -> Any:
        """Look once, and again later if the source is not there."""
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            waited = f"waited {self.patience_s} s for the source {redact(self.source)}"
            raise AirflowFailException(f"{waited}, and it is not there: {self.why}") from None

    def poke(self, context: Context) -> bool:  # noqa: ARG002 - Airflow's interface
        """Whether the source's first byte can be read; a URL that is not allowed will not become so."""
        settings = get_settings()
        try:
            with open_source(self.source, settings, lambda url: open_http(url, settings)) as stream:
                stream.read(1)
        except (FetchError, SourceMissing) as error:
            self.why = str(error)
            self.log.info("not there yet: %s: %s", redact(self.source), self.why)
            return False
        except SourceError as error:
            raise AirflowFailException(str(error)) from None
        return True


class RunImportOperator(BaseOperator):
    """Starts the import of this run and waits for it; succeeds or fails with it.

    An import that is already running is only waited for, a completed one is not repeated, and a stopped one is
    resumed, unless this is a mere retry: clearing this task means to resume.

    Args:
        conf: parameters of the import's run; strings are templates.
        entry: name of the recurring import.
    """

    template_fields = ("conf",)
    template_fields_renderers = {"conf": "json"}  # noqa: RUF012 - Airflow's interface

    def __init__(self, *, conf: dict[str, Any], entry: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conf = conf
        self.entry = entry

    def execute(self, context: Context) -> Any:
        """Start the import if need be, and wait for it."""
        run_id = import_of_run(self.dag_id, context["run_id"])
        state, task = state_of_import(run_id), get_catalogue().tasks.peek(run_id)
        if state not in ACTIVE:
            completed = task is not None and task.state == TaskState.COMPLETED and task.deleted_at is None
            if completed or (state != GONE and is_retry(context, self.retries or 0)):
                return result_of_import(run_id)
            note = f"{notes.opening(self.conf['group_name'], redact(self.conf['source']))} (recurring: {self.entry})"
            request = TriggerDagRun(
                dag_id=DAG_ID, run_id=run_id, logical_date=None, conf=self.conf, reset_dag_run=True, note=note
            )
            task_runner.SUPERVISOR_COMMS.send(request)
        self.log.info("waiting for the import task=%s", run_id)
        raise TaskDeferred(trigger=ImportEnded(run_id), method_name="ended")

    def ended(self, context: Context, event: str) -> dict[str, Any]:  # noqa: ARG002 - Airflow's interface
        """Succeed or fail with the import, whose run has ended."""
        return result_of_import(event)


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
        AirflowFailException: it was not completed; says why.
    """
    catalogue = get_catalogue()
    task = catalogue.tasks.peek(run_id)
    if task is None or task.deleted_at is not None:
        raise AirflowFailException(f"import {run_id} did not complete: it was deleted")
    if task.state != TaskState.COMPLETED:
        raise AirflowFailException(f"import {run_id} did not complete: {task.last_error or 'it was stopped'}")
    return counts_of(catalogue.ledger, task)


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
