"""What events of Airflow's runs mean for their tasks, and the lock for operations on a run (design decision 2)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, update

from face_import.catalogue.attempts import NEW_ATTEMPT, undo_conflict
from face_import.catalogue.records import ImportTask, load, load_by_run
from face_import.catalogue.schema import import_task, now
from face_import.catalogue.tasks import Tasks
from face_import.contract import TaskState
from face_import.errors import WrongState

CONTROL_S = 60.0


class Runs:
    """Applies events of Airflow's runs to their tasks.

    Args:
        engine: write engine of the catalogue.
        tasks: the tasks to update.
    """

    def __init__(self, engine: Engine, tasks: Tasks) -> None:
        self._engine = engine
        self._tasks = tasks

    def run_queued(self, run_id: str, queued_at: float) -> ImportTask | None:
        """Handle that Airflow has queued or started a run; if it was cleared in Airflow's UI, start its task.

        A task that is being undone stays as it is, and so does the undo of one that runs.

        Args:
            run_id: the run.
            queued_at: when it was last queued, by Airflow's clock.

        Returns:
            The task's current state, or None if the run has no task yet.
        """
        with self._engine.begin() as connection:
            task = load_by_run(connection, run_id)
            if task is None or not _cleared_by_a_person(task, queued_at):
                return task
            if undo_conflict(connection, task, lock=True):
                return task
            values: dict[str, Any] = {
                **NEW_ATTEMPT,
                "launched_attempt": task.attempt + 1,
                "launched_at": queued_at,
                "finished_at": None,
            }
            connection.execute(update(import_task).where(import_task.c.id == task.id).values(values))
            return load_by_run(connection, run_id)

    def run_failed(self, run_id: str, run_began: float, last_error: str) -> ImportTask | None:
        """Handle that Airflow's run failed: stop its task, unless the run was started again since.

        Args:
            run_id: the run.
            run_began: when it began, or was queued if it never began, by Airflow's clock.
            last_error: message for the operator.

        Returns:
            The task as it was before, if this has stopped it.
        """
        with self._engine.begin() as connection:
            task = load_by_run(connection, run_id)
        if task is None or self._tasks.complete(task.id):
            return None
        stopped = self._tasks.halt(task.id, last_error, attempt=task.attempt, run_began=run_began)
        return task if stopped else None

    def note_queued(self, task_id: str, attempt: int, queued_at: float) -> None:
        """Record that Airflow has a run for this attempt, and when it was queued by Airflow's clock."""
        with self._engine.begin() as connection:
            connection.execute(
                update(import_task)
                .where(import_task.c.id == task_id)
                .values(launched_attempt=attempt, launched_at=queued_at)
            )

    @contextmanager
    def controlled(self, task_id: str, *, patience_s: float = 10.0) -> Iterator[None]:
        """Lock a task's Airflow run: starts, stops and repairs of one task never interleave.

        The lock expires after `CONTROL_S` seconds, should its holder die.

        Raises:
            WrongState: another operation on the task took longer than `patience_s`.
        """
        owner, deadline = str(uuid4()), time.monotonic() + patience_s
        while not self._take_control(task_id, owner):
            if time.monotonic() > deadline:
                raise WrongState(f"another operation on task {task_id} is in progress; try again")
            time.sleep(0.05)
        try:
            yield
        finally:
            with self._engine.begin() as connection:
                connection.execute(
                    update(import_task)
                    .where(import_task.c.id == task_id, import_task.c.control_owner == owner)
                    .values(control_until=0.0)
                )

    def _take_control(self, task_id: str, owner: str) -> bool:
        with self._engine.begin() as connection:
            taken = connection.execute(
                update(import_task)
                .where(import_task.c.id == task_id, import_task.c.control_until < now())
                .values(control_owner=owner, control_until=now() + CONTROL_S)
            )
            if not taken.rowcount:
                load(connection, task_id)
            return taken.rowcount == 1


def _cleared_by_a_person(task: ImportTask, queued_at: float) -> bool:
    """Whether the run was queued again after the last time recorded by us.

    A start of ours that is not recorded yet (`launched_attempt`) would look the same. A stop after somebody cleared a
    task instance of the running import still holds.
    """
    if task.state == TaskState.RUNNING or task.deleted_at is not None or task.launched_attempt < task.attempt:
        return False
    return queued_at > max(task.launched_at, task.stopped_at or 0.0)
