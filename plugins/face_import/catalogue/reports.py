"""Read-only queries for the console and for monitoring: pages of tasks, failed rows, throughput, totals."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from face_import.catalogue.engine import reading
from face_import.catalogue.leases import ENDING_S
from face_import.catalogue.ledger import Ledger, LogEntry
from face_import.catalogue.progress import Progress
from face_import.catalogue.records import ImportTask, task_of
from face_import.catalogue.schema import callback, host, import_task, now, outcome, shard, tally
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
        hosts_unavailable: image hosts that running imports wait for; one counts once for each import.
        purge_pending_s: seconds since the oldest delete that is not purged yet; 0 without one.
        callback_pending_s: seconds since the oldest end of an import that its callback does not know of; 0 without one.
        callbacks_given_up: ends that a callback was not told of within a day, of imports that are not deleted.
    """

    tasks: dict[TaskState, int]
    rows: dict[int, int]
    shards: int
    granted: int
    hosts_unavailable: int
    start_pending_s: float
    purge_pending_s: float
    callback_pending_s: float
    callbacks_given_up: int


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
    calls = callback.join(import_task, (import_task.c.id == callback.c.task_id) & kept)
    open_call, settled = callback.c.due_at.is_not(None), callback.c.due_at.is_(None)
    untold = select(func.coalesce(now() - func.min(callback.c.ended_at), 0.0)).select_from(calls).where(open_call)
    given_up = select(func.count()).select_from(calls).where(settled, ~callback.c.delivered)
    with reading(engine).begin() as connection:
        shards, granted = connection.execute(live).one()
        return Figures(
            tasks={TaskState(state): count for state, count in connection.execute(states)},
            rows={code: int(count) for code, count in connection.execute(rows)},
            shards=shards,
            granted=int(granted),
            hosts_unavailable=len(connection.execute(_WAITED_FOR).all()),
            start_pending_s=max(0.0, connection.execute(lost).scalar_one()),
            purge_pending_s=max(0.0, connection.execute(buried).scalar_one()),
            callback_pending_s=max(0.0, connection.execute(untold).scalar_one()),
            callbacks_given_up=connection.execute(given_up).scalar_one(),
        )


_WAITED_FOR = (
    select(host.c.task_id)
    .join(import_task, import_task.c.id == host.c.task_id)
    .where(
        import_task.c.state == TaskState.RUNNING,
        import_task.c.deleted_at.is_(None),
        host.c.since.is_not(None),
        ~host.c.given_up,
    )
)
"""Tasks of unavailable hosts, one row for each host."""


def waiting_tasks(engine: Engine) -> set[str]:
    """Ids of the running tasks that wait for image hosts."""
    with reading(engine).begin() as connection:
        return set(connection.scalars(_WAITED_FOR.distinct()))


def check_tables(engine: Engine) -> None:
    """Raise SQLAlchemy's error if the database is unavailable or lacks our tables; does not wait for writers."""
    with reading(engine).begin() as connection:
        connection.execute(select(import_task.c.id).limit(1))


SAMPLES = 4000
"""Rows sampled for a task's throughput: one lookup each, a few µs."""


class Counted(NamedTuple):
    """A task with its progress."""

    task: ImportTask
    progress: Progress


@dataclass(frozen=True, slots=True)
class Page:
    """A page of tasks, and how many there are in all."""

    tasks: list[Counted]
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
    """Reads the catalogue for the API's lists and the console; never writes.

    Args:
        engine: engine of the catalogue.
        groups: tasks of other groups are hidden; None for all groups.
    """

    def __init__(self, engine: Engine, groups: Sequence[str] | None = None) -> None:
        self._reader = reading(engine)
        self._there: list[ColumnElement[bool]] = [import_task.c.deleted_at.is_(None)]
        if groups is not None:
            self._there.append(import_task.c.group_name.in_(groups))

    def page(  # noqa: PLR0913 - a filter, an order and a range
        self,
        *,
        group: str = "",
        containing: str = "",
        state: TaskState | None = None,
        create_key: bytes | None = None,
        newest_first: bool = False,
        skip: int = 0,
        limit: int = 25,
    ) -> Page:
        """Tasks that are not deleted with their progress, in one query; costs O(shards) of these.

        Args:
            group: only this group.
            containing: only groups whose name contains this text.
            state: only tasks in this state.
            create_key: only the task that the create with this key has made.
            newest_first: else oldest first.
            skip: tasks to skip.
            limit: maximum number.
        """
        where = self._where(state, create_key)
        if group:
            where.append(import_task.c.group_name == group)
        if containing:
            where.append(import_task.c.group_name.contains(containing, autoescape=True))
        created = import_task.c.created_at
        order = created.desc() if newest_first else created
        total = select(func.count()).select_from(import_task).where(*where)
        with self._reader.begin() as connection:
            tasks = _counted(connection, where, order, skip=skip, limit=limit)
            return Page(tasks, connection.scalar(total) or 0)

    def ids(
        self,
        *,
        state: TaskState | None = None,
        create_key: bytes | None = None,
        skip: int = 0,
        limit: int | None = None,
    ) -> list[str]:
        """Ids of tasks, oldest first; the arguments are those of `page`, and None is no limit."""
        query = select(import_task.c.id).where(*self._where(state, create_key))
        ordered = query.order_by(import_task.c.created_at, import_task.c.id)
        with self._reader.begin() as connection:
            return list(connection.scalars(ordered.offset(skip).limit(limit)))

    def _where(self, state: TaskState | None, create_key: bytes | None) -> list[ColumnElement[bool]]:
        where = list(self._there)
        if state is not None:
            where.append(import_task.c.state == state)
        if create_key is not None:
            where.append(import_task.c.create_key == create_key)
        return where

    def tasks(self, task_ids: Sequence[str]) -> list[Counted]:
        """These tasks with their progress, except deleted ones."""
        with self._reader.begin() as connection:
            return _counted(connection, [import_task.c.id.in_(task_ids), *self._there], import_task.c.created_at)

    def groups(self, limit: int = 100) -> list[str]:
        """Names of groups that have tasks, that of the newest task first, at most `limit`."""
        group = import_task.c.group_name
        query = select(group).where(*self._there).group_by(group)
        newest_first = query.order_by(func.max(import_task.c.created_at).desc(), group)
        with self._reader.begin() as connection:
            return list(connection.scalars(newest_first.limit(limit)))

    def handled_row(self, task_id: str, row: int) -> LogEntry | None:
        """A row that has an outcome, whatever that is, or None."""
        query = select(outcome.c.row, outcome.c.uri, outcome.c.code, outcome.c.message, outcome.c.reason).where(
            outcome.c.task_id == task_id, outcome.c.row == row
        )
        with self._reader.begin() as connection:
            found = connection.execute(query).one_or_none()
            return None if found is None else LogEntry(*found)

    def handled(self, task_id: str, total: int) -> Handled:
        """When a task's rows were handled, from at most `SAMPLES` evenly spaced rows of its shards.

        Rows are looked up by key, so that ten million cost no more than four thousand; each by a scalar subquery, since
        for a join PostgreSQL, without statistics about the task, would read all of them.

        Args:
            task_id: the task.
            total: number of its rows.
        """
        step = max(1, -(-total // SAMPLES))
        before = func.sum(shard.c.rows).over(order_by=shard.c.number) - shard.c.rows
        first, last = shard.c.first_row + (step - before % step) % step, shard.c.first_row + shard.c.rows - 1
        starts = select(first.label("row"), last.label("last")).where(shard.c.task_id == task_id)
        wanted = starts.cte("wanted", recursive=True)
        following = select(wanted.c.row + step, wanted.c.last).where(wanted.c.row + step <= wanted.c.last)
        wanted = wanted.union_all(following)
        its = select(outcome.c.handled_at).where(outcome.c.task_id == task_id, outcome.c.row == wanted.c.row)
        with self._reader.begin() as connection:
            found = connection.scalars(select(its.scalar_subquery()).select_from(wanted))
            return Handled(sorted(handled_at for handled_at in found if handled_at is not None), step)


def _counted(
    connection: Connection,
    where: Sequence[ColumnElement[bool]],
    order: ColumnElement[float],
    skip: int = 0,
    limit: int | None = None,
) -> list[Counted]:
    rank = func.row_number().over(order_by=(order, import_task.c.id)).label("rank")
    page = select(import_task, rank).where(*where).order_by(rank).offset(skip).limit(limit).cte("page")
    handled = (
        select(tally.c.task_id, tally.c.code.label("handled_code"), func.sum(tally.c.rows).label("handled_rows"))
        .where(tally.c.task_id.in_(select(page.c.id)))
        .group_by(tally.c.task_id, tally.c.code)
        .subquery()
    )
    query = select(page, handled).outerjoin(handled, handled.c.task_id == page.c.id).order_by(page.c.rank)
    found: dict[str, Counted] = {}
    for row in connection.execute(query).mappings():
        task = found.get(row["id"])
        if task is None:
            columns = {column.name: row[column.name] for column in import_task.c}
            task = found[row["id"]] = Counted(task_of(columns), Progress({}))
        if row["handled_code"] is not None:
            task.progress.by_code[row["handled_code"]] = int(row["handled_rows"])
    return list(found.values())


def counts_of(ledger: Ledger, task: ImportTask) -> dict[str, Any]:
    """Succeeded rows, failed rows by code, and rows by change if only changes were imported."""
    progress = ledger.progress(task.id)
    failed = {str(code): rows for code, rows in progress.failures.items()}
    counts: dict[str, Any] = {"task": task.id, "succeeded": progress.succeeded, "failed": failed}
    if task.config.counts_changes:
        counts["changes"] = asdict(ledger.changes(task.id))
    return counts
