"""What people look at: a page of tasks with their progress, one failed row, when rows were handled."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, func, literal, select

from face_import.catalogue.engine import reading
from face_import.catalogue.ledger import LogEntry, Progress
from face_import.catalogue.records import ImportTask, task_of
from face_import.catalogue.schema import FAILED, import_task, outcome, tally
from face_import.contract import TaskState

SAMPLES = 4000
"""Rows that are looked up to tell when a task's rows were handled: a lookup each, a few µs."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the tasks that were asked for, and how many there are in all."""

    tasks: list[ImportTask]
    total: int


@dataclass(frozen=True, slots=True)
class Handled:
    """When rows were handled, seconds since the epoch in ascending order.

    Attributes:
        step: every `step`-th row was looked at; 1 is all of them.
    """

    times: list[float]
    step: int


class Overview:
    """Reads the catalogue for the console; never writes.

    Args:
        engine: engine of the catalogue.
        groups: tasks of other groups are not there; None is all groups.
    """

    def __init__(self, engine: Engine, groups: Sequence[str] | None = None) -> None:
        self._reader = reading(engine)
        self._there: list[ColumnElement[bool]] = [import_task.c.deleted_at.is_(None)]
        if groups is not None:
            self._there.append(import_task.c.group_name.in_(groups))

    def page(self, *, group: str = "", state: TaskState | None = None, skip: int = 0, limit: int = 25) -> Page:
        """Tasks that are not deleted, newest first.

        Args:
            group: only groups whose name has this text in it.
            state: only tasks in this state.
            skip: tasks to pass over.
            limit: at most so many.
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
        """These tasks, without the deleted ones."""
        query = select(import_task).where(import_task.c.id.in_(task_ids), *self._there)
        with self._reader.begin() as connection:
            return [task_of(row) for row in connection.execute(query).mappings()]

    def groups(self, limit: int = 100) -> list[str]:
        """Names of groups that have tasks, in order, the first `limit`."""
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
        query = select(outcome.c.row, outcome.c.uri, outcome.c.code, outcome.c.message).where(
            outcome.c.task_id == task_id, outcome.c.row == row, FAILED
        )
        with self._reader.begin() as connection:
            found = connection.execute(query).one_or_none()
            return None if found is None else LogEntry(*found)

    def handled(self, task_id: str, total: int) -> Handled:
        """When a task's rows were handled, from at most `SAMPLES` evenly spaced rows.

        Rows are looked up by their key, so that ten million of them cost what four thousand do: each by a query of its
        own within the query, since PostgreSQL, without statistics about the task, would read all of them for a join.

        Args:
            task_id: the task.
            total: how many rows it has.
        """
        step = max(1, -(-total // SAMPLES))
        wanted = select(literal(1).label("row")).cte("wanted", recursive=True)
        wanted = wanted.union_all(select(wanted.c.row + step).where(wanted.c.row + step <= total))
        its = select(outcome.c.handled_at).where(outcome.c.task_id == task_id, outcome.c.row == wanted.c.row)
        with self._reader.begin() as connection:
            found = connection.scalars(select(its.scalar_subquery()).select_from(wanted))
            return Handled(sorted(handled_at for handled_at in found if handled_at is not None), step)
