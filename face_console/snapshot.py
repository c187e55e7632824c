"""An import as the pages show it: task, progress, rate."""

from dataclasses import dataclass, field
from typing import Any

from flask import current_app

from api_shim import access
from api_shim.app_context import app_context
from face_console.charts import Rates
from face_console.failures import Failures, failures_of
from face_import.catalogue import ImportTask, Progress, WaitingHost
from face_import.catalogue.reports import Overview
from face_import.contract import MEANINGS, Code, TaskState
from face_import.domain.models import FAILURE_POLICY, LIMITS, SCOPE, Changes, FailurePolicy, Limit, Limits, Scope


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
        options: what failed rows do, and how much is done, as far as it is not what is usual.
        changes: rows by change, on the page of a recurring import's task.
        notice: what it waits for, if it is running.
        waiting: image hosts that it waits for, on its page while it runs.
        callback: the callback of its last end as in `detail`, on its page if it has one.
    """

    task: ImportTask
    progress: Progress
    rate: float | None = None
    limits: list[tuple[Limit, int]] = field(default_factory=list)
    options: list[tuple[Limit, int]] = field(default_factory=list)
    changes: Changes | None = None
    notice: str = ""
    waiting: list[WaitingHost] = field(default_factory=list)
    callback: dict[str, Any] | None = None

    @property
    def running(self) -> bool:
        """Whether its numbers may still change."""
        return self.task.state == TaskState.RUNNING

    @property
    def mark(self) -> str:
        """Changes whenever the actions or the notices of the page do, not just its numbers."""
        return f"{self.task.state}-{self.task.attempt}-{self.task.paused:d}-{bool(self.notice):d}"

    @property
    def failed(self) -> int:
        """Rows with an error code."""
        return self.progress.handled - self.progress.succeeded

    @property
    def flawed(self) -> bool:
        """Whether it was completed with failures."""
        return self.task.state == TaskState.COMPLETED and self.failed > 0

    @property
    def ended(self) -> bool:
        """Whether it is stopped or completed."""
        return self.task.state in {TaskState.STOPPED, TaskState.COMPLETED}

    @property
    def undoable(self) -> bool:
        """Whether it may have faces in the group, and can be asked to remove them."""
        config = self.task.config
        return self.ended and self.progress.succeeded > 0 and not (config.undoes or config.scope.dry_run)

    @property
    def failures(self) -> Failures | None:
        """What the failures come to, once the import has ended; those of an undo speak for themselves."""
        if not self.ended or not self.failed or self.task.config.undoes:
            return None
        by_code = {Code(code): rows for code, rows in self.progress.failures.items()}
        return failures_of(by_code, self.task.config.limits)

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
            Share(code, meaning(self.task, code), rows, rows / most)
            for code, rows in sorted(self.progress.by_code.items())
        ]


def meaning(task: ImportTask, code: int) -> str:
    """What a code says of a row: 0 is another thing in a dry run or an undo."""
    return MEANINGS[Code(code)] if code else task.config.success


def overview() -> Overview:
    """Reports limited to the groups of the request's key."""
    return Overview(app_context().catalogue.engine, access.groups())


def snapshot_of(task: ImportTask, progress: Progress) -> Snapshot:
    """The snapshot of an import, without what only its own page shows."""
    config = task.config
    limits = _set(LIMITS, config.limits)
    options = _set(FAILURE_POLICY, config.policy) + _set(SCOPE, config.scope)
    notice = app_context().notices.of(task)
    return Snapshot(task, progress, _rate(task, progress), limits, options, notice=notice)


def _set(names: dict[str, Limit], numbers: Limits | FailurePolicy | Scope) -> list[tuple[Limit, int]]:
    """The numbers that are not 0."""
    return [(limit, value) for name, limit in names.items() if (value := getattr(numbers, name))]


def _rate(task: ImportTask, progress: Progress) -> float | None:
    if task.state == TaskState.RUNNING:
        rates: Rates = current_app.extensions["face_import_rates"]
        return rates.rate(task.id, task.attempt, progress.handled)
    if task.state == TaskState.COMPLETED and task.attempt == 1 and task.started_at and task.finished_at:
        return task.total_num / max(task.finished_at - task.started_at, 0.001)
    return None
