"""The shards of a task: committed once, read by every try (design decision 7)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, Select, func, insert, select, update

from face_import.catalogue.engine import reading
from face_import.catalogue.records import load, reading_text
from face_import.catalogue.schema import import_task, shard, tally
from face_import.domain.identity import UPLOADED
from face_import.domain.models import Shard
from face_import.domain.reading import Reading
from face_import.errors import TaskNotFound, TaskStopped


class Plans:
    """Stores the shards of tasks.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def commit(
        self,
        task_id: str,
        shards: Sequence[Shard],
        total_num: int,
        source_name: str = UPLOADED,
        reading: Reading | None = None,
    ) -> None:
        """Commit the shards of a task, with the stored source they refer to, once; a URL it came from is forgotten.

        Later calls change nothing: the first of two plans wins.

        Raises:
            TaskStopped: the task was deleted.
        """
        with self._engine.begin() as connection:
            if load(connection, task_id, lock=True).deleted_at is not None:
                raise TaskStopped(f"task {task_id} was deleted")
            if connection.scalar(select(shard.c.number).where(shard.c.task_id == task_id).limit(1)) is not None:
                return
            connection.execute(insert(shard), [_shard_values(task_id, s) for s in shards])
            values = {"total_num": total_num, "source_name": source_name, "source_url": None}
            if reading:
                values["reading"] = reading_text(reading)
            connection.execute(update(import_task).where(import_task.c.id == task_id).values(values))

    def shards(self, task_id: str) -> list[Shard]:
        """The planned shards in order; empty before planning."""
        query = _planned(task_id).order_by(shard.c.number)
        with self._reader.begin() as connection:
            return [Shard(*row) for row in connection.execute(query)]

    def shard(self, task_id: str, number: int) -> Shard:
        """One of the planned shards.

        Raises:
            TaskNotFound: there is no such shard: the task was not planned, or is purged.
        """
        with self._reader.begin() as connection:
            row = connection.execute(_planned(task_id).where(shard.c.number == number)).one_or_none()
        if row is None:
            raise TaskNotFound(f"there is no shard {number} of task {task_id}")
        return Shard(*row)

    def finished_shards(self, task_id: str) -> set[int]:
        """Numbers of the shards all of whose rows have an outcome."""
        query = (
            select(shard.c.number)
            .join(tally, (tally.c.task_id == shard.c.task_id) & (tally.c.shard == shard.c.number))
            .where(shard.c.task_id == task_id)
            .group_by(shard.c.number, shard.c.rows)
            .having(func.sum(tally.c.rows) >= shard.c.rows)
        )
        with self._reader.begin() as connection:
            return set(connection.scalars(query))

    def unfinished(self, task_id: str) -> list[Shard]:
        """The planned shards with rows that have no outcome, in order."""
        done = self.finished_shards(task_id)
        return [planned for planned in self.shards(task_id) if planned.number not in done]


def _planned(task_id: str) -> Select[Any]:
    columns = shard.c
    return select(
        columns.number, columns.first_row, columns.rows, columns.start_byte, columns.end_byte, columns.line
    ).where(columns.task_id == task_id)


def _shard_values(task_id: str, s: Shard) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "number": s.number,
        "first_row": s.first_row,
        "rows": s.rows,
        "start_byte": s.start,
        "end_byte": s.end,
        "line": s.line,
    }
