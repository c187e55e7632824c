"""Import tasks: their state is a column here, changed by compare-and-set only (design decision 2)."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Engine, Update, delete, func, select, update

from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.holdings import count_gone
from face_import.catalogue.records import ImportTask, TaskConfig, load, task_of
from face_import.catalogue.schema import import_task, now, outcome, sent, shard, tally
from face_import.contract import TaskState
from face_import.domain.identity import UPLOADED
from face_import.errors import TaskNotFound, WrongState

PURGE_ROWS = 20_000
STATE_WORDS = {
    TaskState.CREATED: "created and not started yet",
    TaskState.RUNNING: "running",
    TaskState.STOPPED: "stopped",
    TaskState.COMPLETED: "completed",
}


class Tasks:
    """Reads and changes import tasks.

    Every change names the state it starts from; when another change was faster it does nothing and says so.

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
        """Register a task, or return the one that is there; safe to repeat."""
        running = state == TaskState.RUNNING
        values: dict[str, Any] = {
            "id": task_id,
            "run_id": run_id,
            "group_name": config.group_name,
            **asdict(config.limits),
            "thread_num": config.thread_num,
            "mode": int(config.mode),
            "entry": config.entry,
            "source": config.source,
            "state": int(state),
            "attempt": int(running),
            "launched_attempt": int(running),
            "launched_at": launched_at,
            "total_num": total_num,
            "source_name": UPLOADED,
            "created_at": now(),
            "started_at": now() if running else None,
        }
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

    def ids(self, group_name: str, state: TaskState | None) -> list[str]:
        """Ids of a group's tasks, oldest first, optionally only those in `state`."""
        query = select(import_task.c.id).where(
            import_task.c.group_name == group_name, import_task.c.deleted_at.is_(None)
        )
        if state is not None:
            query = query.where(import_task.c.state == state)
        with self._reader.begin() as connection:
            return list(connection.scalars(query.order_by(import_task.c.created_at, import_task.c.id)))

    def in_state(self, state: TaskState) -> list[ImportTask]:
        """All tasks in a state that are not deleted, oldest first."""
        return self._all(import_task.c.state == state, import_task.c.deleted_at.is_(None))

    def deleted(self) -> list[ImportTask]:
        """Tasks whose remains are still to be purged."""
        return self._all(import_task.c.deleted_at.is_not(None))

    def _all(self, *where: Any) -> list[ImportTask]:
        query = select(import_task).where(*where).order_by(import_task.c.created_at, import_task.c.id)
        with self._reader.begin() as connection:
            return [task_of(row) for row in connection.execute(query).mappings()]

    def by_run(self, run_ids: Sequence[str]) -> dict[str, ImportTask]:
        """Tasks, deleted ones included, by the id of their Airflow run."""
        return {task.run_id: task for task in self._all(import_task.c.run_id.in_(run_ids))}

    def start(self, task_id: str) -> ImportTask:
        """Set a created or stopped task running: a new attempt, without its last error.

        Returns:
            The task as it was before.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running or completed.
        """
        change = update(import_task).values(
            state=TaskState.RUNNING,
            attempt=import_task.c.attempt + 1,
            last_error="",
            started_at=now(),
            stopped_at=None,
            paused=False,
        )
        return self._change(task_id, (TaskState.CREATED, TaskState.STOPPED), change, "it cannot be started")

    def stop(self, task_id: str) -> ImportTask:
        """Set a running task stopped; returns the task as it was before.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is not running.
        """
        change = update(import_task).values(state=TaskState.STOPPED, stopped_at=now())
        return self._change(task_id, (TaskState.RUNNING,), change, "it cannot be stopped")

    def _change(self, task_id: str, allowed: Sequence[TaskState], change: Update, refusal: str) -> ImportTask:
        with self._engine.begin() as connection:
            before = load(connection, task_id, lock=True)
            if before.deleted_at is not None:
                raise TaskNotFound(f"there is no task {task_id!r}")
            if before.state not in allowed:
                raise WrongState(f"task {task_id} is {STATE_WORDS[before.state]}; {refusal}")
            connection.execute(change.where(import_task.c.id == task_id))
            return before

    def undo_start(self, before: ImportTask) -> None:
        """Put a start back that never reached Airflow; the attempt stays used."""
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
        """The database's time in seconds since the epoch, the one of all the times here."""
        with self._reader.begin() as connection:
            return float(connection.execute(select(now())).scalar_one())

    def halt(
        self, task_id: str, last_error: str, *, attempt: int | None = None, run_began: float | None = None
    ) -> bool:
        """Stop a running task because of `last_error`.

        Args:
            task_id: the task.
            last_error: what happened, and what to do.
            attempt: only if the task is still in this attempt.
            run_began: only if Airflow's run, which began then by Airflow's clock, is the one of this attempt: a task
                instance of the attempt before may still be ending.

        Returns:
            False when it was not running, or not so.
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
            return connection.execute(change.values(values)).rowcount == 1

    def complete(self, task_id: str) -> bool:
        """Set a running task completed if every row has its outcome; False if not.

        What is gone is counted the first time only: if its run is cleared later, other imports have seen the rows.
        """
        handled = select(func.coalesce(func.sum(tally.c.rows), 0)).where(tally.c.task_id == task_id)
        done = (
            import_task.c.id == task_id,
            import_task.c.state == TaskState.RUNNING,
            import_task.c.deleted_at.is_(None),
            import_task.c.total_num == handled.scalar_subquery(),
            import_task.c.total_num > 0,
        )
        with self._reader.begin() as connection:  # before the write: of millions of rows it takes seconds
            gone = connection.scalar(select(count_gone()).select_from(import_task).where(*done))
        if gone is None:
            return False
        change = update(import_task).where(*done)
        with self._engine.begin() as connection:
            gone_num = func.coalesce(import_task.c.gone_num, gone)
            values = {"state": TaskState.COMPLETED, "finished_at": now(), "gone_num": gone_num}
            return connection.execute(change.values(values)).rowcount == 1

    def pause(self, task_id: str, *, paused: bool) -> None:
        """Let no row of a running task start, or let them start again."""
        with self._engine.begin() as connection:
            connection.execute(update(import_task).where(import_task.c.id == task_id).values(paused=paused))

    def set_threads(self, task_id: str, thread_num: int) -> ImportTask:
        """Change how many rows may be in flight.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is completed.
        """
        allowed = (TaskState.CREATED, TaskState.RUNNING, TaskState.STOPPED)
        change = update(import_task).values(thread_num=thread_num)
        return self._change(task_id, allowed, change, "its threads cannot be changed")

    def bury(self, task_id: str) -> ImportTask:
        """Mark a task deleted: nothing can be claimed or written for it any more (design decision 14).

        Raises:
            TaskNotFound: there is no such task, or it was deleted before.
        """
        with self._engine.begin() as connection:
            task = load(connection, task_id, lock=True)
            if task.deleted_at is not None:
                raise TaskNotFound(f"there is no task {task_id!r}")
            connection.execute(update(import_task).where(import_task.c.id == task_id).values(deleted_at=now()))
            return task

    def expired(self, age_s: float) -> list[ImportTask]:
        """Tasks that were completed or stopped so many seconds ago or longer, and are not deleted, oldest first."""
        return self._all(_expired(age_s))

    def bury_expired(self, age_s: float, *, at_most: int | None = None) -> list[str]:
        """Mark the tasks of `expired` deleted, as `bury` does, or the first `at_most` of them; returns their ids.

        A task that somebody starts at the same time is left alone: its state is looked at again by the change itself.
        """
        first = select(import_task.c.id).where(_expired(age_s)).order_by(import_task.c.created_at).limit(at_most)
        change = update(import_task).where(import_task.c.id.in_(first), _expired(age_s)).values(deleted_at=now())
        with self._engine.begin() as connection:
            return list(connection.scalars(change.returning(import_task.c.id)))

    def purge_some(self, task_id: str) -> bool:
        """Remove up to `PURGE_ROWS` outcomes of a deleted task, and in the end itself.

        Short transactions by key range let other imports write in between. What is left of the plan says where the next
        one begins: to search for the first outcome would pass over all that were removed, each time.

        Returns:
            Whether there is more to remove.
        """
        planned, last = shard.c.task_id == task_id, shard.c.first_row + shard.c.rows - 1
        with self._engine.begin() as connection:
            first = connection.scalar(select(func.min(shard.c.first_row)).where(planned))
            if first is not None:
                behind = first + PURGE_ROWS
                rows = outcome.c.row.between(first, behind - 1)
                connection.execute(delete(outcome).where(outcome.c.task_id == task_id, rows))
                connection.execute(delete(shard).where(planned, last < behind))
                shorter = {"first_row": behind, "rows": last - behind + 1}
                connection.execute(update(shard).where(planned, shard.c.first_row < behind).values(shorter))
                return True
            connection.execute(delete(sent).where(sent.c.task_id == task_id))
            connection.execute(delete(tally).where(tally.c.task_id == task_id))
            connection.execute(
                delete(import_task).where(import_task.c.id == task_id, import_task.c.deleted_at.is_not(None))
            )
            return False


def _expired(age_s: float) -> ColumnElement[bool]:
    """Whether a task has been finished for so many seconds: completed, or stopped and not started again."""
    columns, latest = import_task.c, now() - age_s
    completed = (columns.state == TaskState.COMPLETED) & (columns.finished_at <= latest)
    stopped = (columns.state == TaskState.STOPPED) & (columns.stopped_at <= latest)
    return columns.deleted_at.is_(None) & (completed | stopped)
