"""What a shell offers for a task id: those of the newest imports, from the server that the command would talk to."""

from collections.abc import Iterator

import requests
import typer

from face_import.cli.client import Client
from face_import.cli.server import Server
from face_import.errors import FaceImportError

_OFFERED = 100
_CONNECT_S, _READ_S = 0.5, 1.5
"""Somebody waits with a finger on the tab key."""


def task_ids(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Ids that begin like this, newest first, each with its group and state; none if the server does not say."""
    url, key = (str(context.params.get(option) or "") for option in ("url", "key"))
    try:
        with Client(Server.of(url, key), timeout=(_CONNECT_S, _READ_S)) as client:
            newest = list(client.tasks("", None, _OFFERED))
    except (FaceImportError, OSError, requests.RequestException):
        return
    for task in reversed(newest):
        if task.id.startswith(incomplete):
            yield task.id, f"{task.group_name}, {task.word}"
