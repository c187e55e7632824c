"""Tasks as the API shows them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from face_import.catalogue import ImportTask, LastCall, Progress, WaitingHost
from face_import.catalogue.callbacks import NO_CALL
from face_import.catalogue.progress import course, iso_time
from face_import.domain.models import Changes
from face_import.domain.uri import redact

Json = dict[str, Any]


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
        **course(task, progress),
        "changes": changes and asdict(changes),
        "waiting": [
            asdict(host) | {"since": iso_time(host.since), "retry_at": iso_time(host.retry_at or None)}
            for host in waiting
        ],
        "dag_run_id": task.run_id,
        "undoes": config.undoes or None,
    }


def callback(task: ImportTask, last: LastCall | None) -> Json | None:
    """The callback of a task's last event; None if nobody wants to be called."""
    if not task.config.callback_url:
        return None
    last = last or NO_CALL
    return {
        "url": redact(task.config.callback_url),
        "state": last.state,
        "event": last.event,
        "id": last.id,
        "tries": last.tries,
        "tried_at": iso_time(last.tried_at),
        "answer": last.answer,
        "next_at": iso_time(last.due_at),
    }
