"""Ids and names derived from others: of tasks, runs, pools and faces."""

import base64
import hashlib
import re
import secrets

from face_import.contract import MAX_ROW, TASK_ID_LENGTH

_TASK_ID = re.compile(rf"[A-Za-z0-9_-]{{{TASK_ID_LENGTH}}}")
UPLOADED = "rows"
"""Name of the stored source of an uploaded file; `plan` gives each other source its own name."""

POOL_PREFIX = "face_import_"
IMPORT_TASK = "import"
"""Task of a recurring import's DAG that starts the import."""


def new_task_id() -> str:
    """A fresh task id: 12 URL-safe characters, 72 bits."""
    return secrets.token_urlsafe(TASK_ID_LENGTH * 3 // 4)


def is_task_id(text: str) -> bool:
    """Whether `text` could be a task id."""
    return _TASK_ID.fullmatch(text) is not None


def task_id_of_run(run_id: str) -> str:
    """Id of an Airflow run's import task: the run id, or 12 characters hashed from it (design decision 1)."""
    if is_task_id(run_id):
        return run_id
    digest = hashlib.sha256(run_id.encode()).digest()
    return base64.urlsafe_b64encode(digest)[:TASK_ID_LENGTH].decode()


def import_of_run(dag_id: str, run_id: str, operator: str = IMPORT_TASK, map_index: int = -1) -> str:
    """Id of the import that a task instance of another DAG starts: always the same, so it cannot be started twice.

    Args:
        dag_id: the other DAG.
        run_id: its run.
        operator: id of the task there; the one of this name is the import of its run.
        map_index: -1 if the task is not mapped.
    """
    task = "" if operator == IMPORT_TASK else f"/{operator}"
    part = "" if map_index < 0 else f"[{map_index}]"
    return task_id_of_run(f"{dag_id}/{run_id}{task}{part}")


def made_face_id(task_id: str, row: int) -> str:
    """Face id generated for a row without an id; unique to the row (design decision 10)."""
    return f"{task_id}-{row}"


def maker_of(face_id: str) -> tuple[str, int] | None:
    """Task id and row for which `made_face_id` would generate this id, if any."""
    task_id, _, row = face_id[:TASK_ID_LENGTH], face_id[TASK_ID_LENGTH:][:1], face_id[TASK_ID_LENGTH + 1 :]
    if not is_task_id(task_id) or not row.isascii() or not row.isdigit() or len(row) > 10:
        return None
    number = int(row)
    return (task_id, number) if number <= MAX_ROW and made_face_id(task_id, number) == face_id else None


def pool_of_run(run_id: str) -> str:
    """Name of the pool that limits a run's parallel shards."""
    return POOL_PREFIX + task_id_of_run(run_id)
