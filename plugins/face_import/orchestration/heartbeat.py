"""A Celery worker's heartbeat as a file, for a health check that need not start Airflow to ask the worker."""

from typing import Any

from face_import.lifetime import beat
from face_import.settings import get_settings


def show_heartbeat() -> None:
    """Touch `FACE_IMPORT_HEARTBEAT_FILE`, where it is set, whenever this process's Celery worker sends a heartbeat.

    That is every two seconds, from the loop that also takes the task instances; without the broker there are none.
    """
    file = get_settings().heartbeat_file
    if file is None:
        return
    from celery.signals import heartbeat_sent  # noqa: PLC0415 - only workers need Celery

    def sent(**_: Any) -> None:
        beat(file)

    heartbeat_sent.connect(sent, weak=False)
