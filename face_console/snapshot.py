"""An import as the pages show it: task, progress, rate."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import current_app

from api_shim import access
from api_shim.app_context import app_context
from face_console.charts import Rates
from face_import.catalogue import ImportTask, Progress
from face_import.catalogue.reports import Overview
from face_import.contract import MEANINGS, TaskState
from face_import.domain.models import LIMITS, Changes, Limit


@dataclass(frozen=True, slots=True)
class Share:
    """Rows with one code, and their number relative to the most frequent code's, 0 to 1."""

    code: int
    meaning: str
    rows: int
    part: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot of an import.

    Attributes:
        rate: rows per second: current, if it is running; average, if its first attempt completed it; else None.
        changes: rows by change, on the page of a recurring import's task.
    """

    task: ImportTask
    progress: Progress
    rate: float | None = None
    limits: list[tuple[Limit, int]] = field(default_factory=list)
    changes: Changes | None = None

    @property
    def running(self) -> bool:
        """Whether its numbers may still change."""
        return self.task.state == TaskState.RUNNING

    @property
    def mark(self) -> str:
        """Changes whenever the actions or the notices of the page do, not just its numbers."""
        return f"{self.task.state}-{self.task.attempt}-{self.task.paused:d}"

    @property
    def failed(self) -> int:
        """Rows with an error code."""
        return self.progress.handled - self.progress.succeeded

    @property
    def left_s(self) -> float | None:
        """Estimated seconds until completion, None if unknown."""
        if not self.running or not self.rate or not self.task.total_num:
            return None
        return (self.task.total_num - self.progress.handled) / self.rate

    @property
    def shares(self) -> list[Share]:
        """Rows by code, in order of code: imported rows first."""
        most = max(self.progress.by_code.values(), default=1)
        return [
            Share(code, MEANINGS[code], rows, rows / most)  # type: ignore[index]  # codes in the ledger are Code's
            for code, rows in sorted(self.progress.by_code.items())
        ]


def overview() -> Overview:
    """Reports limited to the groups of the request's key."""
    return Overview(app_context().catalogue.engine, access.groups())


def snapshots_of(tasks: Sequence[ImportTask]) -> list[Snapshot]:
    """Snapshots of several imports, in two queries."""
    progress = overview().progress([task.id for task in tasks])
    return [_snapshot(task, progress[task.id]) for task in tasks]


def _snapshot(task: ImportTask, progress: Progress) -> Snapshot:
    limits = [(limit, value) for name, limit in LIMITS.items() if (value := getattr(task.config.limits, name))]
    return Snapshot(task, progress, _rate(task, progress), limits)


def _rate(task: ImportTask, progress: Progress) -> float | None:
    if task.state == TaskState.RUNNING:
        rates: Rates = current_app.extensions["face_import_rates"]
        return rates.rate(task.id, task.attempt, progress.handled)
    if task.state == TaskState.COMPLETED and task.attempt == 1 and task.started_at and task.finished_at:
        return task.total_num / max(task.finished_at - task.started_at, 0.001)
    return None
