"""Names that follow from other names: task ids, pools, and the ids of runs that people start in Airflow."""

import base64
import hashlib
import re
import secrets

from face_import.contract import TASK_ID_LENGTH

_TASK_ID = re.compile(rf"[A-Za-z0-9_-]{{{TASK_ID_LENGTH}}}")
UPLOADED = "rows"
"""Name of a task's stored source when it came through the API; `plan` gives others a name of their own."""

POOL_PREFIX = "face_import_"


def new_task_id() -> str:
    """A fresh task id: 12 URL-safe characters, 72 bits."""
    return secrets.token_urlsafe(TASK_ID_LENGTH * 3 // 4)


def is_task_id(text: str) -> bool:
    """Whether `text` could be a task id."""
    return _TASK_ID.fullmatch(text) is not None


def task_id_of_run(run_id: str) -> str:
    """The import task that an Airflow run is: the same id, or 12 characters hashed from it (design decision 1)."""
    if is_task_id(run_id):
        return run_id
    digest = hashlib.sha256(run_id.encode()).digest()
    return base64.urlsafe_b64encode(digest)[:TASK_ID_LENGTH].decode()


def import_of_run(dag_id: str, run_id: str) -> str:
    """Id of the import that a run of a recurring import's DAG starts: always the same one, so never a second one."""
    return task_id_of_run(f"{dag_id}/{run_id}")


def made_face_id(task_id: str, row: int) -> str:
    """Face id of a row without an id of its own: nobody else can have it (design decision 10)."""
    return f"{task_id}-{row}"


def maker_of(face_id: str) -> tuple[str, int] | None:
    """Import and row that `made_face_id` would make this id for, if there are such."""
    task_id, _, row = face_id[:TASK_ID_LENGTH], face_id[TASK_ID_LENGTH:][:1], face_id[TASK_ID_LENGTH + 1 :]
    if not is_task_id(task_id) or not row.isascii() or not row.isdigit() or len(row) > 10:
        return None
    return (task_id, int(row)) if made_face_id(task_id, int(row)) == face_id else None


def pool_of_run(run_id: str) -> str:
    """Name of the pool that bounds how many shards of a run are worked on at once."""
    return POOL_PREFIX + task_id_of_run(run_id)
