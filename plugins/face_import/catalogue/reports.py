"""Read-only queries for the console and for monitoring: pages of tasks, failed rows, throughput, totals."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, literal, select

from face_import.catalogue.engine import reading
from face_import.catalogue.leases import ENDING_S
from face_import.catalogue.ledger import Ledger, LogEntry, Progress
from face_import.catalogue.records import ImportTask, task_of
from face_import.catalogue.schema import FAILED, import_task, now, outcome, shard, tally
from face_import.contract import TaskState


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals over all imports at one moment.

    Attributes:
        tasks: imports that are not deleted, by state; states without any are missing.
        rows: rows with an outcome, by code; those of a deleted import count until it is purged.
        shards: working shards, that is, with a live lease.
        granted: total concurrency granted to them.
        start_pending_s: seconds since the oldest start that has not reached Airflow; 0 without one.
        purge_pending_s: seconds since the oldest delete that is not purged yet; 0 without one.
    """

    tasks: dict[TaskState, int]
    rows: dict[int, int]
    shards: int
    granted: int
    start_pending_s: float
    purge_pending_s: float


def read_figures(engine: Engine) -> Figures:
    """Read the figures in one snapshot; costs O(tasks + tallies + shards of running tasks), not O(rows)."""
    task = import_task.c
    kept, running = task.deleted_at.is_(None), task.state == TaskState.RUNNING
    states = select(task.state, func.count()).where(kept).group_by(task.state)
    rows = select(tally.c.code, func.sum(tally.c.rows)).group_by(tally.c.code)
    # Shards of a task that has just stopped still finish their rows; those of all others need not be checked.
    busy = select(task.id).where(running | (task.stopped_at > now() - ENDING_S) | task.deleted_at.is_not(None))
    live = select(func.count(), func.coalesce(func.sum(shard.c.lease_grant), 0)).where(
        shard.c.task_id.in_(busy), shard.c.lease_until > now()
    )
    lost = select(func.coalesce(now() - func.min(task.started_at), 0.0)).where(
        kept, running, task.launched_attempt < task.attempt
    )
    buried = select(func.coalesce(now() - func.min(task.deleted_at), 0.0)).where(task.deleted_at.is_not(None))
    with reading(engine).begin() as connection:
        shards, granted = connection.execute(live).one()
        return Figures(
            tasks={TaskState(state): count for state, count in connection.execute(states)},
            rows={code: int(count) for code, count in connection.execute(rows)},
            shards=shards,
            granted=int(granted),
            start_pending_s=max(0.0, connection.execute(lost).scalar_one()),
            purge_pending_s=max(0.0, connection.execute(buried).scalar_one()),
        )


def check_tables(engine: Engine) -> None:
    """Raise SQLAlchemy's error if the database is unavailable or lacks our tables; does not wait for writers."""
    with reading(engine).begin() as connection:
        connection.execute(select(import_task.c.id).limit(1))


SAMPLES = 4000
"""Rows sampled for a task's throughput: one lookup each, a few µs."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of tasks, and the total number."""

    tasks: list[ImportTask]
    total: int


@dataclass(frozen=True, slots=True)
class Handled:
    """When rows were handled, seconds since the epoch in ascending order.

    Attributes:
        step: every `step`-th row was sampled; 1 means all.
    """

    times: list[float]
    step: int


class Overview:
    """Reads the catalogue for the console; never writes.

    Args:
        engine: engine of the catalogue.
        groups: tasks of other groups are hidden; None for all groups.
    """

    def __init__(self, engine: Engine, groups: Sequence[str] | None = None) -> None:
        self._reader = reading(engine)
        self._there: list[ColumnElement[bool]] = [import_task.c.deleted_at.is_(None)]
        if groups is not None:
            self._there.append(import_task.c.group_name.in_(groups))

    def page(self, *, group: str = "", state: TaskState | None = None, skip: int = 0, limit: int = 25) -> Page:
        """Tasks that are not deleted, newest first.

        Args:
            group: only groups whose name contains this text.
            state: only tasks in this state.
            skip: tasks to skip.
            limit: maximum number.
        """
        where = list(self._there)
        if group:
            where.append(import_task.c.group_name.contains(group, autoescape=True))
        if state is not None:
            where.append(import_task.c.state == state)
        query = select(import_task).where(*where).order_by(import_task.c.created_at.desc(), import_task.c.id)
        with self._reader.begin() as connection:
            total = connection.scalar(select(func.count()).select_from(import_task).where(*where)) or 0
            rows = connection.execute(query.offset(skip).limit(limit)).mappings()
            return Page([task_of(row) for row in rows], total)

    def tasks(self, task_ids: Sequence[str]) -> list[ImportTask]:
        """These tasks, except deleted ones."""
        query = select(import_task).where(import_task.c.id.in_(task_ids), *self._there)
        with self._reader.begin() as connection:
            return [task_of(row) for row in connection.execute(query).mappings()]

    def groups(self, limit: int = 100) -> list[str]:
        """Names of groups that have tasks, sorted, the first `limit`."""
        query = select(import_task.c.group_name).where(*self._there).distinct()
        with self._reader.begin() as connection:
            return list(connection.scalars(query.order_by(import_task.c.group_name).limit(limit)))

    def progress(self, task_ids: Sequence[str]) -> dict[str, Progress]:
        """Progress of several tasks in one query; costs O(shards)."""
        query = (
            select(tally.c.task_id, tally.c.code, func.sum(tally.c.rows))
            .where(tally.c.task_id.in_(task_ids))
            .group_by(tally.c.task_id, tally.c.code)
        )
        found: dict[str, dict[int, int]] = {task_id: {} for task_id in task_ids}
        with self._reader.begin() as connection:
            for task_id, code, rows in connection.execute(query):
                found[task_id][code] = int(rows)
        return {task_id: Progress(by_code) for task_id, by_code in found.items()}

    def failure(self, task_id: str, row: int) -> LogEntry | None:
        """A failed row, or None if this one did not fail."""
        query = select(outcome.c.row, outcome.c.uri, outcome.c.code, outcome.c.message, outcome.c.reason).where(
            outcome.c.task_id == task_id, outcome.c.row == row, FAILED
        )
        with self._reader.begin() as connection:
            found = connection.execute(query).one_or_none()
            return None if found is None else LogEntry(*found)

    def handled(self, task_id: str, total: int) -> Handled:
        """When a task's rows were handled, from at most `SAMPLES` evenly spaced rows.

        Rows are looked up by key, so that ten million cost no more than four thousand; each by a scalar subquery, since
        for a join PostgreSQL, without statistics about the task, would read all of them.

        Args:
            task_id: the task.
            total: number of its rows.
        """
        step = max(1, -(-total // SAMPLES))
        wanted = select(literal(1).label("row")).cte("wanted", recursive=True)
        wanted = wanted.union_all(select(wanted.c.row + step).where(wanted.c.row + step <= total))
        its = select(outcome.c.handled_at).where(outcome.c.task_id == task_id, outcome.c.row == wanted.c.row)
        with self._reader.begin() as connection:
            found = connection.scalars(select(its.scalar_subquery()).select_from(wanted))
            return Handled(sorted(handled_at for handled_at in found if handled_at is not None), step)


def counts_of(ledger: Ledger, task: ImportTask) -> dict[str, Any]:
    """Succeeded rows, failed rows by code, and rows by change if only changes were imported."""
    progress = ledger.progress(task.id)
    failed = {str(code): rows for code, rows in progress.failures.items()}
    counts: dict[str, Any] = {"task": task.id, "succeeded": progress.succeeded, "failed": failed}
    if task.config.entry:
        counts["changes"] = asdict(ledger.changes(task.id))
    return counts
