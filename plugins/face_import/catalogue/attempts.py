"""An attempt at a task: what begins with it, and the failures that end it (design decision 19)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, update

from face_import.catalogue.callbacks import note_end
from face_import.catalogue.records import ImportTask
from face_import.catalogue.schema import import_task, now, tally
from face_import.contract import Code, Mode, TaskState
from face_import.domain.failures import overrun
from face_import.domain.models import FAILURE_POLICY, FailurePolicy, Outcome
from face_import.domain.uri import redact
from face_import.errors import WrongState

_HANDLED = select(func.coalesce(func.sum(tally.c.rows), 0)).where(tally.c.task_id == import_task.c.id)
NEW_ATTEMPT: Mapping[str, Any] = {
    "state": TaskState.RUNNING,
    "attempt": import_task.c.attempt + 1,
    "last_error": "",
    "notice": "",
    "started_at": now(),
    "stopped_at": None,
    "paused": False,
    "handled_before": _HANDLED.correlate(import_task).scalar_subquery(),
    "handled_since": {},
}
"""What a start changes in a task's row, which is locked: failures are counted from here, and the tallies say how many
rows were handled before, whatever was reopened since."""
JUDGED = [
    import_task.c[name]
    for name in ("state", "mode", "total_num", "handled_before", "handled_since", "deleted_at", *FAILURE_POLICY)
]
"""Columns that `count_and_judge` needs, read with the task's row locked."""


def undo_of(connection: Connection, task_id: str, *, but: str = "") -> str | None:
    """Id of the task that undoes another one and is not completed; `but` is left out."""
    columns = import_task.c
    unfinished = columns.deleted_at.is_(None) & (columns.state != TaskState.COMPLETED) & (columns.id != but)
    query = select(columns.id).where(columns.undoes != "", columns.undoes == task_id, unfinished)
    return connection.scalar(query.limit(1))


def undo_conflict(connection: Connection, task: ImportTask, *, lock: bool = False) -> str:
    """Why a task must not run: of an import and its undos, only one does. Empty if it may.

    Args:
        connection: a transaction.
        task: the task; locked if it is about to be started or reopened.
        lock: lock the import that it undoes, which would be started otherwise before this is committed.
    """
    about = task.config.undoes or task.id
    if undo := undo_of(connection, about, but=task.id):
        return f"task {about} is being undone by task {undo}, which has to be completed or deleted first"
    columns = import_task.c
    query = select(columns.state).where(columns.id == task.config.undoes, columns.deleted_at.is_(None))
    if connection.scalar(query.with_for_update() if lock else query) == TaskState.RUNNING:
        return f"task {about} is running; it has to be stopped or completed before it is undone"
    return ""


def check_undo_conflict(connection: Connection, task: ImportTask, *, lock: bool = False) -> None:
    """Check that a task may run.

    Raises:
        WrongState: it must not (`undo_conflict`).
    """
    if conflict := undo_conflict(connection, task, lock=lock):
        raise WrongState(conflict)


def count_and_judge(connection: Connection, task_id: str, task: RowMapping, written: Sequence[Outcome]) -> None:
    """Add outcomes to what the attempt has handled, and stop a running task that they take over its budget.

    Counted is what is written since the start. That includes the few rows that the attempt before had in flight. A row
    whose face was to be removed has done what it was to do, and is no failure.

    Args:
        connection: the transaction that writes the outcomes.
        task_id: the import task.
        task: its columns `JUDGED`.
        written: the outcomes.
    """
    handled = Counter({int(code): rows for code, rows in task["handled_since"].items()})
    handled.update(int(Code.OK if o.removed else o.code) for o in written)
    reason = ""
    values: dict[str, Any] = {"handled_since": {str(code): rows for code, rows in sorted(handled.items())}}
    if task["state"] == TaskState.RUNNING:
        policy = FailurePolicy(**{name: task[name] for name in FAILURE_POLICY})
        reason = _first_failure(task["mode"], written) or overrun(
            policy, handled, task["total_num"] - task["handled_before"]
        )
        if reason:
            values |= {"state": TaskState.STOPPED, "stopped_at": now(), "last_error": reason}
    connection.execute(update(import_task).where(import_task.c.id == task_id).values(values))
    if reason:
        note_end(connection, task_id)


def _first_failure(mode: int, written: Sequence[Outcome]) -> str:
    """What stops a task in mode 1; empty if nothing does."""
    failed = min((o for o in written if o.code != Code.OK and not o.removed), key=lambda o: o.row, default=None)
    if mode != Mode.STOP or failed is None:
        return ""
    return f"row {failed.row}: {redact(failed.uri)}: {int(failed.code)} {failed.message}"
