"""Import tasks: their state is a column here, changed by compare-and-set only (design decision 2)."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Update, delete, func, select, update

from face_import.catalogue.attempts import NEW_ATTEMPT, check_undo_conflict
from face_import.catalogue.callbacks import note_end
from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.holdings import count_gone
from face_import.catalogue.hosts import forget_hosts, forget_trouble
from face_import.catalogue.records import ImportTask, TaskConfig, load, new_task_values, task_of
from face_import.catalogue.schema import import_task, now, outcome, sent, shard, tally
from face_import.contract import TaskState
from face_import.errors import TaskNotFound, WrongState

PURGE_ROWS = 20_000
DELETED: dict[str, Any] = {"deleted_at": now(), "source_url": None, "callback_url": ""}
"""The URLs may contain secrets, and nobody will use them any more."""
STATE_WORDS = {
    TaskState.CREATED: "created and not started yet",
    TaskState.RUNNING: "running",
    TaskState.STOPPED: "stopped",
    TaskState.COMPLETED: "completed",
}


class Tasks:
    """Reads and changes import tasks.

    Every change of state is conditional on the state before; if another change was faster, it does nothing and says so.

    A running task ends in one of three ways: `stop` on request, `halt` because of an error, `complete` when all rows
    have an outcome. `pause` leaves it running. The same transaction writes that somebody is to be told (`note_end`), as
    does the one whose outcomes end a task (`count_and_judge`).

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def add(  # noqa: PLR0913 - the columns of a new task
        self,
        task_id: str,
        run_id: str,
        config: TaskConfig,
        *,
        state: TaskState,
        total_num: int = 0,
        launched_at: float = 0.0,
    ) -> ImportTask:
        """Create a task, or return the existing one; idempotent."""
        values = new_task_values(task_id, run_id, config, state, total_num) | {"launched_at": launched_at}
        upsert = upsert_for(self._engine.dialect)
        with self._engine.begin() as connection:
            connection.execute(upsert(import_task).values(values).on_conflict_do_nothing())
            return load(connection, task_id)

    def get(self, task_id: str) -> ImportTask:
        """The task with this id.

        Raises:
            TaskNotFound: there is none, or it was deleted.
        """
        with self._reader.begin() as connection:
            task = load(connection, task_id)
        if task.deleted_at is not None:
            raise TaskNotFound(f"there is no task {task_id!r}")
        return task

    def peek(self, task_id: str) -> ImportTask | None:
        """The task with this id, deleted or not."""
        return next(iter(self._all(import_task.c.id == task_id)), None)

    def all_ids(self) -> set[str]:
        """Ids of all tasks, deleted or not."""
        with self._reader.begin() as connection:
            return set(connection.scalars(select(import_task.c.id)))

    def in_state(self, state: TaskState) -> list[ImportTask]:
        """All tasks in a state that are not deleted, oldest first."""
        return self._all(import_task.c.state == state, import_task.c.deleted_at.is_(None))

    def deleted(self) -> list[ImportTask]:
        """Deleted tasks that are not purged yet."""
        return self._all(import_task.c.deleted_at.is_not(None))

    def _all(self, *where: Any) -> list[ImportTask]:
        query = select(import_task).where(*where).order_by(import_task.c.created_at, import_task.c.id)
        with self._reader.begin() as connection:
            return [task_of(row) for row in connection.execute(query).mappings()]

    def by_run(self, run_ids: Sequence[str]) -> dict[str, ImportTask]:
        """Tasks, deleted ones included, by the id of their Airflow run."""
        return {task.run_id: task for task in self._all(import_task.c.run_id.in_(run_ids))}

    def start(self, task_id: str) -> ImportTask:
        """Set a created or stopped task to running: a new attempt, without the last error.

        Returns:
            The task before the change.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running or completed, or is being undone.
        """
        change = update(import_task).values(NEW_ATTEMPT)
        startable = (TaskState.CREATED, TaskState.STOPPED)
        return self._change(task_id, startable, change, "it cannot be started", also=_begin_attempt)

    def stop(self, task_id: str) -> ImportTask:
        """Set a running task to stopped; returns the task before the change.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is not running.
        """
        change = update(import_task).values(state=TaskState.STOPPED, stopped_at=now())
        return self._change(task_id, (TaskState.RUNNING,), change, "it cannot be stopped", also=_note_end)

    def _change(
        self,
        task_id: str,
        allowed: Sequence[TaskState],
        change: Update,
        refusal: str,
        also: Callable[[Connection, ImportTask], None] | None = None,
    ) -> ImportTask:
        with self._engine.begin() as connection:
            before = load(connection, task_id, lock=True)
            if before.deleted_at is not None:
                raise TaskNotFound(f"there is no task {task_id!r}")
            if before.state not in allowed:
                raise WrongState(f"task {task_id} is {STATE_WORDS[before.state]}; {refusal}")
            connection.execute(change.where(import_task.c.id == task_id))
            if also is not None:
                also(connection, before)
            return before

    def undo_start(self, before: ImportTask) -> None:
        """Undo a start that never reached Airflow; the attempt remains counted."""
        with self._engine.begin() as connection:
            connection.execute(
                update(import_task)
                .where(
                    import_task.c.id == before.id,
                    import_task.c.state == TaskState.RUNNING,
                    import_task.c.attempt == before.attempt + 1,
                )
                .values(
                    state=before.state,
                    last_error=before.last_error,
                    started_at=before.started_at,
                    stopped_at=before.stopped_at,
                )
            )

    def clock(self) -> float:
        """The database's time in seconds since the epoch; all times here are by this clock."""
        with self._reader.begin() as connection:
            return float(connection.execute(select(now())).scalar_one())

    def halt(
        self, task_id: str, last_error: str, *, attempt: int | None = None, run_began: float | None = None
    ) -> bool:
        """Set a running task to stopped because of an error, unlike `stop` without complaint if it is not running.

        Args:
            task_id: the task.
            last_error: what happened, and what to do.
            attempt: only if this is still the task's attempt.
            run_began: only if Airflow's run, which began at this time by Airflow's clock, belongs to this attempt: a
                task instance of the previous attempt may still be ending.

        Returns:
            Whether the task was stopped.
        """
        change = update(import_task).where(
            import_task.c.id == task_id,
            import_task.c.state == TaskState.RUNNING,
            import_task.c.deleted_at.is_(None),
        )
        if attempt is not None:
            change = change.where(import_task.c.attempt == attempt)
        if run_began is not None:
            change = change.where(
                import_task.c.launched_attempt == import_task.c.attempt, import_task.c.launched_at <= run_began
            )
        with self._engine.begin() as connection:
            values = {"state": TaskState.STOPPED, "stopped_at": now(), "last_error": last_error}
            stopped = connection.execute(change.values(values)).rowcount == 1
            if stopped:
                note_end(connection, task_id)
            return stopped

    def advise(self, task_id: str, text: str) -> None:
        """Say something about a running task in place of an error, unless there is one."""
        change = update(import_task).where(import_task.c.id == task_id, import_task.c.state == TaskState.RUNNING)
        with self._engine.begin() as connection:
            connection.execute(change.where(import_task.c.last_error == "").values(last_error=text))

    def complete(self, task_id: str) -> bool:
        """Set a running task to completed if every row has an outcome; returns whether it did.

        Gone rows are counted only the first time: if the run is cleared later, other imports have seen them.
        """
        handled = select(func.coalesce(func.sum(tally.c.rows), 0)).where(tally.c.task_id == task_id)
        done = (
            import_task.c.id == task_id,
            import_task.c.state == TaskState.RUNNING,
            import_task.c.deleted_at.is_(None),
            import_task.c.total_num == handled.scalar_subquery(),
            import_task.c.total_num > 0,
        )
        with self._reader.begin() as connection:  # before the write: with millions of rows it takes seconds
            gone = connection.scalar(select(count_gone()).select_from(import_task).where(*done))
        if gone is None:
            return False
        change = update(import_task).where(*done)
        with self._engine.begin() as connection:
            gone_num = func.coalesce(import_task.c.gone_num, gone)
            values = {"state": TaskState.COMPLETED, "finished_at": now(), "gone_num": gone_num}
            completed = connection.execute(change.values(values)).rowcount == 1
            if completed:
                forget_hosts(connection, task_id)
                note_end(connection, task_id)
            return completed

    def pause(self, task_id: str, *, paused: bool) -> None:
        """Keep rows of a running task from starting, or let them start again."""
        with self._engine.begin() as connection:
            connection.execute(update(import_task).where(import_task.c.id == task_id).values(paused=paused))

    def notify(self, task_id: str, notice: str) -> None:
        """Record what a running task waits for; empty if it does not wait."""
        with self._engine.begin() as connection:
            connection.execute(update(import_task).where(import_task.c.id == task_id).values(notice=notice))

    def configure(self, task_id: str, **numbers: int) -> ImportTask:
        """Change `thread_num` or what failed rows do (`FailurePolicy`); a budget is judged at the next write.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is completed.
        """
        allowed = (TaskState.CREATED, TaskState.RUNNING, TaskState.STOPPED)
        change = update(import_task).values(numbers)
        return self._change(task_id, allowed, change, "its settings cannot be changed")

    def mark_deleted(self, task_id: str) -> ImportTask:
        """Mark a task as deleted: no lease can be taken and nothing written for it any more (design decision 14).

        Raises:
            TaskNotFound: there is no such task, or it is already deleted.
        """
        with self._engine.begin() as connection:
            task = load(connection, task_id, lock=True)
            if task.deleted_at is not None:
                raise TaskNotFound(f"there is no task {task_id!r}")
            connection.execute(update(import_task).where(import_task.c.id == task_id).values(DELETED))
            return task

    def expired(self, age_s: float) -> list[ImportTask]:
        """Tasks completed or stopped at least `age_s` seconds ago and not deleted, oldest first."""
        return self._all(_expired(age_s))

    def mark_expired_deleted(self, age_s: float, *, at_most: int | None = None) -> list[str]:
        """Mark the tasks of `expired` as deleted, or the first `at_most` of them; returns their ids.

        A task that is started at the same time is not deleted: the change itself checks the state again.
        """
        first = select(import_task.c.id).where(_expired(age_s)).order_by(import_task.c.created_at).limit(at_most)
        change = update(import_task).where(import_task.c.id.in_(first), _expired(age_s)).values(DELETED)
        with self._engine.begin() as connection:
            return list(connection.scalars(change.returning(import_task.c.id)))

    def purge_some(self, task_id: str) -> bool:
        """Remove up to `PURGE_ROWS` outcomes of a deleted task, and finally the task itself.

        Short transactions by key range let other imports write in between. The remaining plan says where the next one
        begins: searching for the first outcome would scan over all the removed ones each time.

        Returns:
            Whether there is more to remove.
        """
        planned, last = shard.c.task_id == task_id, shard.c.first_row + shard.c.rows - 1
        with self._engine.begin() as connection:
            first = connection.scalar(select(func.min(shard.c.first_row)).where(planned))
            if first is not None:
                next_row = first + PURGE_ROWS
                rows = outcome.c.row.between(first, next_row - 1)
                connection.execute(delete(outcome).where(outcome.c.task_id == task_id, rows))
                connection.execute(delete(shard).where(planned, last < next_row))
                shorter = {"first_row": next_row, "rows": last - next_row + 1}
                connection.execute(update(shard).where(planned, shard.c.first_row < next_row).values(shorter))
                return True
            connection.execute(delete(sent).where(sent.c.task_id == task_id))
            connection.execute(delete(tally).where(tally.c.task_id == task_id))
            connection.execute(
                delete(import_task).where(import_task.c.id == task_id, import_task.c.deleted_at.is_not(None))
            )
            return False


def _begin_attempt(connection: Connection, task: ImportTask) -> None:
    check_undo_conflict(connection, task, lock=True)
    forget_trouble(connection, task.id)


def _note_end(connection: Connection, task: ImportTask) -> None:
    note_end(connection, task.id)


def _expired(age_s: float) -> ColumnElement[bool]:
    """Whether a task ended at least `age_s` seconds ago: completed, or stopped and not started again."""
    columns, latest = import_task.c, now() - age_s
    completed = (columns.state == TaskState.COMPLETED) & (columns.finished_at <= latest)
    stopped = (columns.state == TaskState.STOPPED) & (columns.stopped_at <= latest)
    return columns.deleted_at.is_(None) & (completed | stopped)
