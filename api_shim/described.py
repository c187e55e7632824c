"""Tasks as the API shows them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from face_import.catalogue import ImportTask, Progress, WaitingHost
from face_import.domain.models import Changes

Json = dict[str, Any]


def summary(task: ImportTask, progress: Progress) -> Json:
    """A task as in a list."""
    return {"id": task.id, "group_name": task.config.group_name, "source": task.config.source} | _course(task, progress)


def described(task: ImportTask, progress: Progress, changes: Changes | None, waiting: Sequence[WaitingHost]) -> Json:
    """A task as in `detail`, but for its notice."""
    config = task.config
    return {
        "group_name": config.group_name,
        "config": {
            **asdict(config.limits),
            "mode": int(config.mode),
            "thread_num": config.thread_num,
            "host_threads": config.host_threads,
            **asdict(config.policy),
            **asdict(config.scope),
            **asdict(config.guard),
        },
        "source": task.reading,
        **_course(task, progress),
        "changes": changes and asdict(changes),
        "waiting": [
            asdict(host) | {"since": _time(host.since), "retry_at": _time(host.retry_at or None)} for host in waiting
        ],
        "dag_run_id": task.run_id,
        "undoes": config.undoes or None,
    }


def _course(task: ImportTask, progress: Progress) -> Json:
    """How far a task is."""
    return {
        "total_num": task.total_num,
        "handled_num": progress.handled,
        "success_num": progress.succeeded,
        "failed_num": progress.handled - progress.succeeded,
        "errors": {str(code): rows for code, rows in progress.failures.items()},
        "state": int(task.state),
        "attempts": task.attempt,
        "last_error": task.last_error,
        "created_at": _time(task.created_at),
        "started_at": _time(task.started_at),
        "finished_at": _time(task.finished_at),
    }


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
