"""Clients of the HTTP API and of the face services' search, as an application would use them."""

import csv
import io
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from face_import.contract import TaskState

POLL_S = 0.25
TIMEOUT_S = 60


class DemoError(Exception):
    """The demo cannot continue; the text says why."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of a task's log."""

    row: int
    uri: str
    code: int
    message: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A face found by a search; the score is 1 for the same picture, and lower for less similar ones."""

    tag: str
    description: str
    score: float


class Api:
    """`/v1/tasks` (docs/reference/api.md).

    Args:
        url: URL of Face import, without a trailing slash.
    """

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/tasks"
        self._session = _session()

    def create(self, group: str, file: bytes, options: Mapping[str, int]) -> str:
        """Create an import task from a CSV file; returns its id."""
        form = {"group_name": group, **options}
        answer = self._session.post(
            f"{self._url}/create", data=form, files={"file": ("faces.csv", file, "text/csv")}, timeout=TIMEOUT_S
        )
        return str(_checked(answer).json()["id"])

    def start(self, task_id: str) -> None:
        """Start a task."""
        self._get(f"{task_id}/start")

    def progress(self, task_id: str, patience_s: float) -> Iterator[dict[str, Any]]:
        """Yield a task's `detail` four times a second until it is complete.

        Raises:
            DemoError: the task was stopped, or is not complete within `patience_s`.
        """
        deadline = time.monotonic() + patience_s
        while True:
            detail: dict[str, Any] = self._get(f"{task_id}/detail").json()
            yield detail
            if detail["state"] == TaskState.COMPLETED:
                return
            if detail["state"] == TaskState.STOPPED or time.monotonic() > deadline:
                raise DemoError(f"the import did not complete: {detail}")
            time.sleep(POLL_S)

    def log(self, task_id: str) -> list[Failure]:
        """The rows that failed, in row order."""
        return [Failure(**entry) for entry in self._get(f"{task_id}/log").json()["logs"]]

    def downloaded_log(self, task_id: str) -> list[tuple[str, int, str]]:
        """The failed rows from the CSV file: uri, code, message."""
        text = self._get(f"{task_id}/download_log").content.decode()
        return [(uri, int(code), message) for uri, code, message in csv.reader(io.StringIO(text, newline=""))]

    def _get(self, path: str) -> requests.Response:
        return _checked(self._session.get(f"{self._url}/{path}", timeout=TIMEOUT_S))


class Group:
    """A face group in the library service.

    Args:
        url: URL of the face services, without a trailing slash.
        name: name of the group.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = f"{url}/v1/face/groups/{name}"
        self._session = _session()

    def size(self) -> int:
        """How many faces it has."""
        return int(_checked(self._session.get(self._url, timeout=TIMEOUT_S)).json()["count"])

    def search(self, picture: bytes, threshold: float) -> list[Hit]:
        """The group's faces most similar to the one in the picture, most similar first, at most five."""
        uri = f"data:image/jpeg;base64,{b64encode(picture).decode()}"
        asked = {"images": [uri], "threshold": threshold, "limit": 5}
        answer = _checked(self._session.post(f"{self._url}/search", json=asked, timeout=TIMEOUT_S)).json()
        faces = answer["search_results"][0]["faces"]
        if len(faces) != 1:
            raise DemoError(f"the search found {len(faces)} faces in a picture of one person")
        return [Hit(hit["tag"], hit["desc"], hit["score"]) for hit in faces[0]["faces"]]


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy cannot reach our loopback
    return session


def _checked(answer: requests.Response) -> requests.Response:
    if not answer.ok:
        raise DemoError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text.strip()[:500]}")
    return answer
