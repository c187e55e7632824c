"""Client of the HTTP API: commands see tasks and errors, never HTTP (docs/reference/api.md)."""

import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, Self, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import ValidationError
from requests.exceptions import InvalidSchema
from urllib3.exceptions import NewConnectionError

from face_import.cli.answers import (
    Answer,
    Created,
    Judged,
    Limited,
    Listed,
    Log,
    LogEntry,
    Retried,
    Started,
    Summary,
    Task,
)
from face_import.cli.server import Server
from face_import.cli.upload import CHUNK_BYTES, Form, Upload
from face_import.contract import TaskState
from face_import.domain.identity import is_task_id
from face_import.errors import ApiUnavailable, InvalidRequest, RequestError, SourceTooLarge, TaskNotFound, WrongState

CONNECT_S, READ_S, INGEST_S = 10.0, 60.0, 3600.0
PAUSES_S = (1.0, 4.0)
"""Before a create whose connection was lost is repeated; the API takes that long to be restarted."""
LOG_PAGE = 500
LIST_PAGE = 1000
_Answer = TypeVar("_Answer", bound=Answer)
_ERRORS: dict[int, type[RequestError]] = {
    400: InvalidRequest,
    404: TaskNotFound,
    409: WrongState,
    413: SourceTooLarge,
}


class ConnectionLost(ApiUnavailable):
    """The connection broke after it was made: the server may have received the request."""


class Client:
    """One server's API.

    Every method raises `ApiUnavailable` if there is no usable response, and a `RequestError` with the server's own
    message if the server rejects the request.
    """

    def __init__(self, server: Server, timeout: tuple[float, float] = (CONNECT_S, READ_S)) -> None:
        self._server, self._timeout = server, timeout
        self._session = requests.Session()
        self._session.auth = server.authorize if server.key else None
        # No proxy for loopback; elsewhere the environment's proxy settings apply.
        self._session.trust_env = urlsplit(server.url).hostname not in {"127.0.0.1", "::1", "localhost"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._session.close()

    def create(self, fields: Mapping[str, str], file: Upload | None, sent: Callable[[int], None], key: str) -> Created:
        """Create a task, and upload its file if there is one.

        If the connection is lost before the answer, the request is repeated some times. It may have been received: its
        idempotency key makes sure that it creates one task.

        Args:
            fields: the form's fields.
            file: the file.
            sent: told the bytes of the file that were sent so far.
            key: the idempotency key.

        Raises:
            InvalidRequest: a field or the file is rejected; nothing is stored.
            SourceTooLarge: the file is larger than the server accepts.
        """
        pauses, lost = iter(PAUSES_S), False
        while True:
            try:
                return self._create(fields, file, sent, key)
            except ApiUnavailable as error:
                lost, pause_s = lost or isinstance(error, ConnectionLost), next(pauses, None)
                if not lost or pause_s is None:
                    raise
            time.sleep(pause_s)

    def _create(self, fields: Mapping[str, str], file: Upload | None, sent: Callable[[int], None], key: str) -> Created:
        form = Form(fields, file, sent)
        headers = {"Content-Type": form.content_type, "Idempotency-Key": key}
        answer = self._call("POST", "create", data=form, headers=headers, timeout=(CONNECT_S, INGEST_S))
        return self._read(answer, Created)

    def created(self, group: str, key: str) -> Summary | None:
        """The task that an earlier create with this idempotency key has made, unless it was deleted."""
        asked = {"group_name": group, "fields": "summary", "idempotency_key": key}
        return next(iter(self._read(self._call("POST", "list", json=asked), Listed).tasks), None)

    def start(self, task_id: str) -> str:
        """Start a created task or resume a stopped one; returns what it waits for, if anything."""
        return self._read(self._call("POST", _of(task_id, "start")), Started).notice

    def retry(self, task_id: str, wanted: Mapping[str, object]) -> Retried:
        """Retry failed rows, or with `preview` only count them.

        Args:
            task_id: the task.
            wanted: fields of the request.
        """
        return self._read(self._call("POST", _of(task_id, "retry"), json=wanted), Retried)

    def undo(self, task_id: str) -> Created:
        """Start the task that removes the faces which a task has added."""
        return self._read(self._call("POST", _of(task_id, "undo")), Created)

    def stop(self, task_id: str) -> None:
        """Stop a running task; no further row starts after this returns."""
        self._call("POST", _of(task_id, "stop"))

    def delete(self, task_id: str) -> None:
        """Stop and delete a task."""
        self._call("POST", _of(task_id, "delete"))

    def tasks(self, group: str, state: TaskState | None, last: int | None = None) -> Iterator[Summary]:
        """A group's tasks, or without a group all, oldest first, or only the last ones of them."""
        asked = {"group_name": group or None, "status": int(state or 0), "fields": "summary", "limit": LIST_PAGE}

        def page(skip: int) -> Listed:
            return self._read(self._call("POST", "list", json=asked | {"skip": skip}), Listed)

        skip, found = 0, page(0)
        if last and found.total_count > last:
            skip = found.total_count - last
            found = page(skip)
        while found.tasks:
            yield from found.tasks
            skip += len(found.tasks)
            found = page(skip) if skip < found.total_count else Listed(tasks=[], total_count=skip)

    def task(self, task_id: str) -> Task:
        """The current state of a task."""
        task = self._read(self._call("GET", _of(task_id, "detail")), Task)
        return task.model_copy(update={"id": task_id})

    def judge(self, task_id: str, limits: Mapping[str, int]) -> Judged:
        """A task's handled rows under limits; those that are not given are the task's own."""
        return self._read(self._call("POST", _of(task_id, "judge"), json=dict(limits)), Judged)

    def limits(self, task_id: str, asked: Mapping[str, object]) -> Limited:
        """Give a task other limits, or with `preview` only count the rows that they concern.

        Args:
            task_id: the task.
            asked: fields of the request.
        """
        return self._read(self._call("POST", _of(task_id, "limits"), json=asked), Limited)

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
        with self._lines(_of(task_id, "download_log"), "log") as lines:
            yield lines

    @contextmanager
    def results(self, task_id: str, only: Mapping[str, object]) -> Iterator[Iterator[str]]:
        """Rows of the file with what became of them, as lines of CSV, as they arrive.

        Args:
            task_id: the import task.
            only: which rows: `rows`, `code` and `reason`, or None, and `row`.
        """
        with self._lines(_of(task_id, "download_rows"), "results", params=only) as lines:
            yield lines

    @contextmanager
    def _lines(self, path: str, what: str, **options: Any) -> Iterator[Iterator[str]]:
        with self._call("GET", path, stream=True, **options) as answer:
            try:
                yield _lines(answer)
            except requests.RequestException as error:
                raise ApiUnavailable(f"{self._server.shown}: {what} download interrupted: {error}") from None

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request and return its 200 response.

        Redirects are not followed: the API sends none, and a POST would become a GET.
        """
        options = {"timeout": self._timeout, "allow_redirects": False, **options}
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
    if isinstance(error, InvalidSchema):  # the server's was checked before (`Server`), so it is a proxy's
        return InvalidRequest(f"the proxy of the environment cannot be used: {error}; unset ALL_PROXY and the like")
    if isinstance(error, ValueError) and not isinstance(error, requests.ConnectionError):
        return InvalidRequest(f"--url: {server.shown} is not a valid server address")
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, NewConnectionError) or isinstance(error, requests.ConnectTimeout):
        return ApiUnavailable(
            f"no server at {server.shown}: start it with `face-import up`, or pass its address with --url"
        )
    if isinstance(error, requests.Timeout):
        return ApiUnavailable(f"{server.shown} timed out")
    return ConnectionLost(f"connection to {server.shown} lost: {reason or 'closed by the server'}")
