"""Run control: what start, retry, undo, stop, delete, other limits and concurrency do to catalogue and Airflow's run.

The catalogue comes first: its state fences the rows, so a stop holds even while Airflow is unavailable, and the keeper
reconciles Airflow's run later (design decisions 2, 12-14).
"""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from face_import.audit import audit_command
from face_import.catalogue import Affected, Catalogue, Changed, ImportTask, get_catalogue
from face_import.clients.airflow import Airflow
from face_import.contract import UPLOAD, Notice, TaskState
from face_import.domain.failed_rows import FailedRows
from face_import.domain.identity import new_task_id
from face_import.domain.notes import opening
from face_import.domain.planning import pool_for
from face_import.domain.reading import reading_fields
from face_import.errors import AirflowError, RequestError, WrongState
from face_import.settings import Settings, get_settings

log = logging.getLogger(__name__)
LAST_ROWS_S = 15.0
"""How long a retry waits for rows in flight; the lease of a try that died lives shorter."""
ANSWER_S = 2.0
"""How long a stop waits for Airflow to end the run, counted from the request."""


class Control:
    """Starts, stops and deletes import tasks.

    Args:
        settings: the settings.
        catalogue: where tasks and leases are.
        airflow: access to Airflow's API.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, airflow: Airflow) -> None:
        self._settings = settings
        self._tasks = catalogue.tasks
        self._plans = catalogue.plans
        self._runs = catalogue.runs
        self._leases = catalogue.leases
        self._reopening, self._new_limits = catalogue.reopening, catalogue.new_limits
        self._undoing = catalogue.undoing
        self._airflow = airflow
        self._threads = ThreadPoolExecutor(4, "end-run")

    def start(self, task_id: str) -> None:
        """Start a created task, or resume a stopped one.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running or completed, or is being undone.
            AirflowError: Airflow is unavailable, or refuses; the task is unchanged.
        """
        with self._runs.controlled(task_id):
            before = self._tasks.start(task_id)
            try:
                self._launch(self._tasks.get(task_id))
            except AirflowError as error:
                if not error.sent:
                    self._tasks.undo_start(before)
                    raise
                log.warning("start left to the keeper task=%s error=%s", task_id, error)
            except WrongState:
                self._tasks.undo_start(before)
                raise

    def retry(self, task_id: str, wanted: FailedRows) -> int:
        """Reopen failed rows of a stopped or completed task, and start it; without any it stays as it is.

        Returns:
            how many rows were reopened.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running, was never started, is being undone, or is being started by somebody else.
            AirflowError: Airflow is unavailable; the task is unchanged.
        """
        with self._reopens(task_id):
            rows = self._reopening.reopen(task_id, wanted)
            if rows:
                log.info("reopened task=%s rows=%s", task_id, rows)
                self._start_again(task_id)
            return rows

    def limit(self, task_id: str, changed: Changed) -> Affected:
        """Give a stopped or completed task new limits, and start it unless it is completed and nothing changes.

        Args:
            task_id: the import task.
            changed: what is new about it.

        Returns:
            how many rows there were.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running, was never started, or is being started by somebody else.
            AirflowError: Airflow is unavailable; the task is unchanged.
        """
        with self._reopens(task_id):
            affected = self._new_limits.apply(task_id, changed)
            log.info("new limits task=%s reopened=%s removed=%s", task_id, affected.reopened, affected.removed)
            if self._tasks.get(task_id).state == TaskState.STOPPED:
                self._start_again(task_id)
            return affected

    @contextmanager
    def _reopens(self, task_id: str) -> Iterator[None]:
        """Control of an ended task no row of which is in flight, while Airflow is there to start it."""
        with self._runs.controlled(task_id):
            self._reopening.check(task_id)  # first: else a running task's rows would be waited for
            self._airflow.run(self._tasks.get(task_id).run_id)  # one that is away is noticed before anything is changed
            self._wait_for_last_rows(task_id)
            yield

    def _start_again(self, task_id: str) -> None:
        self._tasks.start(task_id)
        try:
            self._launch(self._tasks.get(task_id))
        except AirflowError as error:
            log.warning("start left to the keeper task=%s error=%s", task_id, error)

    def undo(self, task_id: str) -> str:
        """Start a task that removes the faces which a stopped or completed task has added.

        Sending this again starts no second one, until the first is completed or deleted.

        Returns:
            The id of that task.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running, was never started, has no faces in its group, or is an undo itself.
            AirflowError: Airflow is unavailable; nothing was changed, or the next call starts the task that was made.
        """
        with self._runs.controlled(task_id):
            self._undoing.check(task_id)  # first: else a running task's rows would be waited for
            self._airflow.run(self._tasks.get(task_id).run_id)  # as for a retry
            self._wait_for_last_rows(task_id)
            undo = self._undoing.begin(task_id, new_task_id())
        if undo.state != TaskState.RUNNING:
            try:
                self.start(undo.id)
            except WrongState:  # it may have been started by somebody else
                if self._tasks.get(undo.id).state not in {TaskState.RUNNING, TaskState.COMPLETED}:
                    raise
        return undo.id

    def _wait_for_last_rows(self, task_id: str) -> None:
        """Wait until the rows that a stop left in flight have ended, or nobody works on them any more."""
        deadline = time.monotonic() + LAST_ROWS_S
        while self._leases.live(task_id):
            if time.monotonic() > deadline:
                raise WrongState(f"the last rows of task {task_id} are still in flight; try again in some seconds")
            time.sleep(0.05)

    def launch(self, task_id: str, *, again: bool = False) -> None:
        """Start the run of a task whose start is recorded but not known to have reached Airflow.

        Args:
            task_id: the import task.
            again: also if it has reached Airflow and was undone there.

        Raises:
            WrongState: another operation on the task is in progress.
            AirflowError: Airflow is unavailable, or refuses.
        """
        with self._runs.controlled(task_id, patience_s=0):
            task = self._tasks.get(task_id)
            if task.state == TaskState.RUNNING and (again or task.launched_attempt < task.attempt):
                self._launch(task)

    def _launch(self, task: ImportTask) -> None:
        paused = self._airflow.is_paused()
        run = self._airflow.run(task.run_id)
        if run is None:
            config = task.config
            self._airflow.trigger(task.run_id, run_conf(task), opening(config.group_name, config.source))
        else:
            if run.active:
                self._airflow.fail_run(task.run_id)
            done = self._plans.finished_shards(task.id)
            left = [s.number for s in self._plans.shards(task.id) if s.number not in done]
            self._airflow.clear(task.run_id, self._airflow.to_clear(task.run_id, left, sorted(done)))
        if paused:  # Airflow has taken the run all the same, and will do nothing
            self._tasks.notify(task.id, Notice.DAG_PAUSED)
        self._note_queued(task)

    def _note_queued(self, task: ImportTask) -> None:
        """Record when the run was queued: if it is queued again later, a person has cleared it in Airflow."""
        run = self._airflow.run(task.run_id)
        self._runs.note_queued(task.id, task.attempt, run.queued_at if run else 0.0)

    def stop(self, task_id: str) -> None:
        """Stop a running task; when this returns no further row starts.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is not running.
        """
        self._tasks.stop(task_id)
        self._wait_until_stopped(task_id)

    def delete(self, task_id: str) -> None:
        """Stop a task in any state and mark it deleted; the keeper purges it.

        Raises:
            TaskNotFound: there is no such task.
        """
        if self._tasks.mark_deleted(task_id).state == TaskState.RUNNING:
            self._wait_until_stopped(task_id)

    def _wait_until_stopped(self, task_id: str) -> None:
        """Wait until no further row can start, and meanwhile end the run; a slow Airflow delays this only briefly."""
        began = time.monotonic()
        ending = self._threads.submit(self._try_to_end_run, task_id)
        self._wait_for_leases(task_id, began)
        wait([ending], timeout=max(0.0, began + ANSWER_S - time.monotonic()))

    def end_run(self, task_id: str, *, patience_s: float = 10.0) -> None:
        """Fail the Airflow run of a task that has ended, if the run is active and the task was not started since.

        Raises:
            WrongState: another operation on the task is in progress.
            AirflowError: Airflow is unavailable, or refuses.
        """
        with self._runs.controlled(task_id, patience_s=patience_s):
            task = self._tasks.peek(task_id)
            if task is None or not task.ended:
                return
            run = self._airflow.run(task.run_id)
            if run is not None and run.active:
                self._airflow.fail_run(task.run_id, on_purpose=task.stopped_on_purpose)
            self._note_queued(task)

    def _try_to_end_run(self, task_id: str) -> None:
        """Try `end_run`; on failure, the keeper retries. The rows are already fenced."""
        try:
            self.end_run(task_id)
        except (AirflowError, RequestError) as error:
            log.warning("run not ended, left to the keeper task=%s error=%s", task_id, error)

    def _wait_for_leases(self, task_id: str, since: float) -> None:
        """Wait until no shard can start a row: every lease has ended, or was last renewed too long ago."""
        fenced_at = since + self._settings.lease_start_window_s
        while time.monotonic() < fenced_at and self._leases.live(task_id):
            time.sleep(0.05)

    def configure(self, task_id: str, **numbers: int) -> None:
        """Change a task's settings, as `Tasks.configure`; shards learn of `thread_num` at their next renewal.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is completed.
        """
        task = self._tasks.configure(task_id, **numbers)
        if task.state == TaskState.RUNNING and "thread_num" in numbers:
            try:
                self._airflow.set_pool(pool_for(task.run_id, numbers["thread_num"], self._settings))
            except AirflowError as error:
                log.warning("pool not resized task=%s error=%s", task_id, error)


def run_conf(task: ImportTask) -> dict[str, Any]:
    """Parameters of a task's run, as Airflow shows and validates them: without URLs, which may contain secrets."""
    config = task.config
    return {
        "source": f"{UPLOAD}{task.id}",
        "group_name": config.group_name,
        "thread_num": config.thread_num,
        "host_threads": config.host_threads,
        "mode": int(config.mode),
        **asdict(config.policy),
        **asdict(config.scope),
        **asdict(config.guard),
        **asdict(config.limits),
        **reading_fields(config.options),
        "entry": config.entry or None,
    }


def stop_active(cause: str = "Face import was restarted") -> int:
    """Set every running task to stopped, as required after a restart; returns how many there were.

    A run that was started in Airflow and has no task yet is failed as well; clearing it in Airflow restarts it.

    Args:
        cause: why, for the operator.
    """
    settings, catalogue = get_settings(), get_catalogue()
    with Airflow(settings) as airflow:
        control = Control(settings, catalogue, airflow)
        active = catalogue.tasks.in_state(TaskState.RUNNING)
        for task in active:
            halted = catalogue.tasks.halt(task.id, f"{cause} while this import was running; start it to resume")
            control.end_run(task.id)
            log.info("stopped after a restart task=%s", task.id)
            if halted:
                audit_command(settings, "stop", task.id, task.config.group_name, reason=cause)
        runs = airflow.active_runs()
        tasks = catalogue.tasks.by_run(list(runs))
        for run_id in runs:
            if run_id not in tasks:
                airflow.fail_run(run_id)
                log.info("failed a run after a restart run=%s", run_id)
    return len(active)
