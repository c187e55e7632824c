"""Run control: what start, stop, delete and a changed concurrency do to the catalogue and to Airflow's run.

The catalogue comes first: its state fences the rows, so a stop holds even while Airflow is unavailable, and the keeper
reconciles Airflow's run later (design decisions 2, 12-14).
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import Any

from face_import.catalogue import Catalogue, ImportTask, get_catalogue
from face_import.clients.airflow import Airflow
from face_import.contract import UPLOAD, TaskState
from face_import.domain.planning import pool_for
from face_import.domain.reading import reading_fields
from face_import.errors import AirflowError, RequestError, WrongState
from face_import.settings import Settings, get_settings

log = logging.getLogger(__name__)
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
        self._airflow = airflow
        self._threads = ThreadPoolExecutor(4, "end-run")

    def start(self, task_id: str) -> None:
        """Start a created task, or resume a stopped one.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running or completed.
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
        run = self._airflow.run(task.run_id)
        if run is None:
            config = task.config
            self._airflow.trigger(task.run_id, run_conf(task), f"{config.group_name}: {config.source}")
        else:
            if run.active:
                self._airflow.fail_run(task.run_id)
            done = self._plans.finished_shards(task.id)
            left = [s.number for s in self._plans.shards(task.id) if s.number not in done]
            self._airflow.clear(task.run_id, self._airflow.to_clear(task.run_id, left, sorted(done)))
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
                self._airflow.fail_run(task.run_id)
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

    def set_concurrency(self, task_id: str, thread_num: int) -> None:
        """Change a task's concurrency; shards learn of it at their next renewal.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is completed.
        """
        task = self._tasks.set_concurrency(task_id, thread_num)
        if task.state == TaskState.RUNNING:
            try:
                self._airflow.set_pool(pool_for(task.run_id, thread_num, self._settings))
            except AirflowError as error:
                log.warning("pool not resized task=%s error=%s", task_id, error)


def run_conf(task: ImportTask) -> dict[str, Any]:
    """Parameters of a task's run, as Airflow shows and validates them."""
    config = task.config
    return {
        "source": f"{UPLOAD}{task.id}",
        "group_name": config.group_name,
        "thread_num": config.thread_num,
        "mode": int(config.mode),
        **asdict(config.limits),
        **reading_fields(config.options),
        "entry": config.entry or None,
    }


def stop_active() -> int:
    """Set every running task to stopped, as required after a restart; returns how many there were.

    A run that was started in Airflow and has no task yet is failed as well; clearing it in Airflow restarts it.
    """
    settings, catalogue = get_settings(), get_catalogue()
    with Airflow(settings) as airflow:
        control = Control(settings, catalogue, airflow)
        active = catalogue.tasks.in_state(TaskState.RUNNING)
        for task in active:
            catalogue.tasks.halt(task.id, "Face import was restarted while this import was running; start it to resume")
            control.end_run(task.id)
            log.info("stopped after a restart task=%s", task.id)
        runs = airflow.active_runs()
        tasks = catalogue.tasks.by_run(list(runs))
        for run_id in runs:
            if run_id not in tasks:
                airflow.fail_run(run_id)
                log.info("failed a run after a restart run=%s", run_id)
    return len(active)
