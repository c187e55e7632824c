"""The note of an Airflow run: which group, and what became of the import."""

from dataclasses import asdict

from face_import.contract import TaskState
from face_import.domain.models import Changes

LONGEST = 1000
"""Characters that Airflow keeps of a note."""


def opening(group: str, source: str) -> str:
    """The note of an import that is under way."""
    return f"{group}: {source}"[:LONGEST]


def result(
    group: str, state: TaskState, last_error: str, by_code: dict[int, int], changes: Changes | None = None
) -> str:
    """The note of an import whose run has ended.

    Args:
        group: the face group.
        state: the task's state; anything but completed counts as stopped.
        last_error: why it was stopped, empty if somebody did it on purpose.
        by_code: rows by code. Not told of a stopped import: its last rows may still be on their way.
        changes: rows by change, if only changes were imported.
    """
    if state != TaskState.COMPLETED:
        return f"{group}: stopped. {last_error}".rstrip()[:LONGEST]
    rows = sum(by_code.values())
    failures = {code: count for code, count in by_code.items() if code}
    told = "" if changes is None else "; " + ", ".join(f"{count} {what}" for what, count in asdict(changes).items())
    if not failures:
        return f"{group}: {rows} of {rows} imported{told}"
    often = sorted(failures.items(), key=lambda failure: (-failure[1], failure[0]))
    codes = ", ".join(f"{code} x{count}" for code, count in often)
    failed = sum(failures.values())
    return f"{group}: {rows - failed} of {rows} imported, {failed} failed ({codes}){told}"
