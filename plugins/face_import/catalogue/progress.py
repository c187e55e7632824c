"""How far a task is: as a value, and in short, as lists, callbacks and live events tell it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from face_import.catalogue.records import ImportTask
from face_import.catalogue.schema import tally
from face_import.contract import Code


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a shard or task: handled rows by code."""

    by_code: dict[int, int]

    @property
    def handled(self) -> int:
        """Rows with an outcome."""
        return sum(self.by_code.values())

    @property
    def succeeded(self) -> int:
        """Rows with code 0."""
        return self.by_code.get(Code.OK, 0)

    @property
    def failures(self) -> dict[int, int]:
        """Failed rows by code, in order of code."""
        return {code: rows for code, rows in sorted(self.by_code.items()) if code != Code.OK}


def progress_of(connection: Connection, task_id: str, number: int | None = None) -> Progress:
    """Progress of a task, or of one of its shards, from the tallies; costs O(shards), not O(rows)."""
    query = select(tally.c.code, func.sum(tally.c.rows)).where(tally.c.task_id == task_id).group_by(tally.c.code)
    if number is not None:
        query = query.where(tally.c.shard == number)
    return Progress({code: int(rows) for code, rows in connection.execute(query)})


def summary(task: ImportTask, progress: Progress) -> dict[str, Any]:
    """A task in short, as JSON; times are ISO 8601 in UTC, or null."""
    return {"id": task.id, "group_name": task.config.group_name, "source": task.config.source} | course(task, progress)


def course(task: ImportTask, progress: Progress) -> dict[str, Any]:
    """How far a task is, as JSON."""
    return {
        "total_num": task.total_num,
        "handled_num": progress.handled,
        "success_num": progress.succeeded,
        "failed_num": progress.handled - progress.succeeded,
        "errors": {str(code): rows for code, rows in progress.failures.items()},
        "state": int(task.state),
        "attempts": task.attempt,
        "last_error": task.last_error,
        "created_at": iso_time(task.created_at),
        "started_at": iso_time(task.started_at),
        "finished_at": iso_time(task.finished_at),
    }


def iso_time(seconds: float | None) -> str | None:
    """A time of the catalogue in ISO 8601, UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
