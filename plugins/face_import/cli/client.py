"""Client of the HTTP API: commands see tasks and errors, never HTTP (docs/reference/api.md)."""

import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from pydantic import BaseModel, ConfigDict, ValidationError
from urllib3.exceptions import NewConnectionError

from face_import.cli.server import Server
from face_import.cli.upload import CHUNK_BYTES, Form
from face_import.contract import MEANINGS, Code, TaskState
from face_import.domain.identity import is_task_id
from face_import.errors import ApiUnavailable, InvalidRequest, RequestError, SourceTooLarge, TaskNotFound, WrongState

CONNECT_S, READ_S, INGEST_S = 10.0, 60.0, 3600.0
PAUSES_S = (1.0, 4.0)
"""Before a create whose connection was lost is repeated; the API takes that long to be restarted."""
LOG_PAGE = 500
_Answer = TypeVar("_Answer", bound=BaseModel)
_ERRORS: dict[int, type[RequestError]] = {
    400: InvalidRequest,
    404: TaskNotFound,
    409: WrongState,
    413: SourceTooLarge,
}


class Source(BaseModel):
    """How a task's file is read; a column without a title is its number."""

    model_config = ConfigDict(frozen=True)

    encoding: str | None = None
    separator: str
    header: bool
    skipped: int = 0
    columns: dict[str, str | int]
    ignored: list[str | int] = []
    sheet: str | None = None
    sheets: list[str] = []


class Task(BaseModel):
    """A task as returned by `detail`, plus its id, which the response does not include."""

    model_config = ConfigDict(frozen=True)

    id: str = ""
    group_name: str
    config: dict[str, int]
    source: Source | None = None
    total_num: int
    handled_num: int
    success_num: int
    failed_num: int
    errors: dict[int, int]
    changes: dict[str, int] | None = None
    state: TaskState
    last_error: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    dag_run_id: str

    @property
    def word(self) -> str:
        """Name of its state."""
        return self.state.name.lower()


class LogEntry(BaseModel):
    """A failed row."""

    model_config = ConfigDict(frozen=True)

    row: int
    uri: str
    code: int
    message: str


class Log(BaseModel):
    """A page of the log."""

    logs: list[LogEntry]


class Created(BaseModel):
    """The id of a new task."""

    id: str


class TaskIds(BaseModel):
    """Ids of tasks."""

    ids: list[str]


class _ConnectionLost(ApiUnavailable):
    """The connection broke after it was made: the server may have received the request."""


def meaning(code: int) -> str:
    """Meaning of a row's code; empty for codes of a newer server."""
    return MEANINGS[Code(code)] if code in set(Code) else ""


class Client:
    """One server's API.

    Every method raises `ApiUnavailable` if there is no usable response, and a `RequestError` with the server's own
    message if the server rejects the request.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._session = requests.Session()
        self._session.auth = server.authorize if server.key else None
        # No proxy for loopback; elsewhere the environment's proxy settings apply.
        self._session.trust_env = urlsplit(server.url).hostname not in {"127.0.0.1", "::1", "localhost"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._session.close()

    def create(self, fields: Mapping[str, str], path: Path | None, sent: Callable[[int], None]) -> str:
        """Create a task, and upload its file if there is one; returns the task's id.

        If the connection is lost before the answer, the request is repeated some times. It may have been received: its
        idempotency key makes sure that it creates one task.

        Raises:
            InvalidRequest: a field or the file is rejected; nothing is stored.
            SourceTooLarge: the file is larger than the server accepts.
        """
        key, pauses, lost = uuid4().hex, iter(PAUSES_S), False
        while True:
            try:
                return self._create(fields, path, sent, key)
            except ApiUnavailable as error:
                lost, pause_s = lost or isinstance(error, _ConnectionLost), next(pauses, None)
                if not lost or pause_s is None:
                    raise
            time.sleep(pause_s)

    def _create(self, fields: Mapping[str, str], path: Path | None, sent: Callable[[int], None], key: str) -> str:
        form = Form(fields, path, sent)
        headers = {"Content-Type": form.content_type, "Idempotency-Key": key}
        answer = self._call("POST", "create", data=form, headers=headers, timeout=(CONNECT_S, INGEST_S))
        return self._read(answer, Created).id

    def start(self, task_id: str) -> None:
        """Start a created task or resume a stopped one."""
        self._call("POST", _of(task_id, "start"))

    def stop(self, task_id: str) -> None:
        """Stop a running task; no further row starts after this returns."""
        self._call("POST", _of(task_id, "stop"))

    def delete(self, task_id: str) -> None:
        """Stop and delete a task."""
        self._call("POST", _of(task_id, "delete"))

    def ids(self, group: str, state: TaskState | None) -> list[str]:
        """Ids of a group's tasks, oldest first."""
        body = {"group_name": group, "status": int(state or 0)}
        return self._read(self._call("POST", "list", json=body), TaskIds).ids

    def task(self, task_id: str) -> Task:
        """The current state of a task."""
        task = self._read(self._call("GET", _of(task_id, "detail")), Task)
        return task.model_copy(update={"id": task_id})

    def log(self, task_id: str, code: int | None = None) -> Iterator[list[LogEntry]]:
        """Failed rows in row order, in pages of up to `LOG_PAGE`.

        Rows that fail meanwhile shift later pages; no row is returned twice.
        """
        skip, last = 0, 0
        only = {} if code is None else {"code": code}
        while True:
            answer = self._call("GET", _of(task_id, "log"), params={"skip": skip, "limit": LOG_PAGE, **only})
            page = self._read(answer, Log).logs
            yield [entry for entry in page if entry.row > last]
            if len(page) < LOG_PAGE:
                return
            skip, last = skip + LOG_PAGE, max(last, page[-1].row)

    @contextmanager
    def download(self, task_id: str) -> Iterator[Iterator[str]]:
        """The log as lines of CSV (uri, code, message), as they arrive."""
        with self._call("GET", _of(task_id, "download_log"), stream=True) as answer:
            try:
                yield _lines(answer)
            except requests.RequestException as error:
                raise ApiUnavailable(f"{self._server.shown}: log download interrupted: {error}") from None

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request and return its 200 response.

        Redirects are not followed: the API sends none, and a POST would become a GET.
        """
        options = {"timeout": (CONNECT_S, READ_S), "allow_redirects": False, **options}
        try:
            answer = self._session.request(method, f"{self._server.url}/v1/tasks/{path}", **options)
        except requests.RequestException as error:
            raise _no_answer(error, self._server) from None
        if answer.status_code != 200:
            self._refuse(answer)
        return answer

    def _refuse(self, answer: requests.Response) -> NoReturn:
        status = answer.status_code
        if status == 401:
            problem = "rejects this API key" if self._server.key else "requires an API key"
            raise RequestError(f"{self._server.shown} {problem}: pass --key or set FACE_IMPORT_API_KEY")
        if answer.is_redirect:
            raise RequestError(f"{self._server.shown} redirects: pass the target address with --url")
        try:
            text = str(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            self._foreign(status)
        if status >= 500:
            raise ApiUnavailable(text)
        raise _ERRORS.get(status, RequestError)(text)

    def _read(self, answer: requests.Response, model: type[_Answer]) -> _Answer:
        try:
            return model.model_validate_json(answer.content)
        except ValidationError:
            self._foreign()

    def _foreign(self, status: int = 200) -> NoReturn:
        raise ApiUnavailable(f"{self._server.shown} returned {status}, but is not a Face import API: check --url")


def _lines(answer: requests.Response) -> Iterator[str]:
    """Lines with their endings; requests' own also splits at characters that end no line in CSV."""
    decoder = getincrementaldecoder("utf-8")("replace")
    rest = ""
    for chunk in answer.iter_content(CHUNK_BYTES):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (line + "\n" for line in lines)
    if rest:
        yield rest


def _of(task_id: str, what: str) -> str:
    if not is_task_id(task_id):
        raise TaskNotFound(f"{task_id!r} is not a task id: expected 12 characters of A-Z, a-z, 0-9, _ and -")
    return f"{task_id}/{what}"


def _no_answer(error: requests.RequestException, server: Server) -> ApiUnavailable | InvalidRequest:
    if isinstance(error, ValueError) and not isinstance(error, requests.ConnectionError):
        return InvalidRequest(f"--url: {server.shown} is not a valid server address")
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, NewConnectionError) or isinstance(error, requests.ConnectTimeout):
        return ApiUnavailable(
            f"no server at {server.shown}: start it with `face-import up`, or pass its address with --url"
        )
    if isinstance(error, requests.Timeout):
        return ApiUnavailable(f"{server.shown} timed out")
    return _ConnectionLost(f"connection to {server.shown} lost: {reason or 'closed by the server'}")
