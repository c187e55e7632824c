"""The endpoints of the API: parse, call, respond."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from flask import Blueprint, Response, request, stream_with_context

from api_shim import access
from api_shim.app_context import app_context
from api_shim.creation import create_task
from api_shim.documentation import answers, documentation
from api_shim.log_csv import log_csv
from api_shim.models import (
    KEY_HEADER,
    REPLAYED_HEADER,
    ConcurrencyBody,
    Created,
    CreateForm,
    CreateHeaders,
    Detail,
    Done,
    DownloadQuery,
    ListBody,
    Log,
    LogQuery,
    TaskIds,
)
from api_shim.slots import DOWNLOADS
from api_shim.uploads import takes_file
from face_import.catalogue import ImportTask, LogEntry, LogPage, Progress
from face_import.contract import TaskState
from face_import.domain.identity import is_task_id
from face_import.domain.limits import check_thread_num
from face_import.domain.models import Changes

blueprint = Blueprint("tasks", __name__, url_prefix="/v1/tasks")
Json = dict[str, Any]
_ENTRIES_AT_ONCE = 1000


@blueprint.before_request
def check_task_id() -> None:
    """Return 404 for malformed task ids, before any query, and for tasks of groups without access."""
    task_id = (request.view_args or {}).get("task_id")
    if task_id is not None and (access.is_scoped() or not is_task_id(task_id)):
        access.load_task(task_id)


@blueprint.post("/create")
@takes_file
@documentation.validate(form=CreateForm, headers=CreateHeaders, resp=answers(Created, 400, 408, 409, 413, 503))
def create(form: CreateForm) -> tuple[Json, int, dict[str, str]]:
    """Create an import task from a CSV or xlsx file, or from the URL of one.

    A file is parsed at once: one that cannot be parsed is rejected, and nothing is stored. A URL is read when the task
    is started. With an `Idempotency-Key`, sending the request again answers the same id.
    """
    made = create_task(form, request.files.get("file"), request.headers.get(KEY_HEADER))
    return {"id": made.id}, 200, {REPLAYED_HEADER: "true"} if made.replayed else {}


@blueprint.route("/<task_id>/start", methods=["GET", "POST"])
@documentation.validate(resp=answers(Done, 404, 409, 503))
def start(task_id: str) -> Json:
    """Start a task, or resume a stopped one."""
    app_context().control.start(task_id)
    return {}


@blueprint.route("/<task_id>/stop", methods=["GET", "POST"])
@documentation.validate(resp=answers(Done, 404, 409, 503))
def stop(task_id: str) -> Json:
    """Stop a running task; no further row starts after the response."""
    app_context().stop(task_id)
    return {}


@blueprint.route("/<task_id>/delete", methods=["GET", "POST"])
@documentation.validate(resp=answers(Done, 404, 503))
def delete(task_id: str) -> Json:
    """Stop and delete a task in any state; faces already added stay in the group."""
    app_context().control.delete(task_id)
    return {}


@blueprint.post("/<task_id>/config")
@documentation.validate(json=ConcurrencyBody, resp=answers(Done, 400, 404, 409, 503))
def config(task_id: str, body: ConcurrencyBody) -> Json:
    """Change a task's concurrency; in a running task it takes effect within seconds."""
    context = app_context()
    check_thread_num(body.thread_num, context.settings)
    context.control.set_concurrency(task_id, body.thread_num)
    return {}


@blueprint.post("/list")
@documentation.validate(json=ListBody, resp=answers(TaskIds, 400, 503))
def list_tasks(body: ListBody) -> Json:
    """Ids of a group's tasks, oldest first."""
    access.check_group(body.group_name)
    state = TaskState(body.status) if body.status else None
    return {"ids": app_context().catalogue.tasks.ids(body.group_name, state)}


@blueprint.get("/<task_id>/detail")
@documentation.validate(resp=answers(Detail, 404, 503))
def detail(task_id: str) -> Json:
    """A task's configuration, state and progress."""
    catalogue = app_context().catalogue
    task = catalogue.tasks.get(task_id)
    changes = catalogue.ledger.changes(task_id) if task.config.entry else None
    return describe(task, catalogue.ledger.progress(task_id), changes)


@blueprint.get("/<task_id>/log")
@documentation.validate(query=LogQuery, resp=answers(Log, 400, 404, 503))
def log(task_id: str, query: LogQuery) -> Response:
    """Failed rows in row order; all of them without parameters, streamed."""
    catalogue = app_context().catalogue
    catalogue.tasks.get(task_id)
    failures = catalogue.ledger.progress(task_id).failures
    total = sum(failures.values()) if query.code is None else failures.get(query.code, 0)
    entries = catalogue.ledger.log(task_id, skip=query.skip, limit=query.limit, code=query.code)
    pieces = DOWNLOADS.sending(_log_json(entries, total))
    return Response(stream_with_context(pieces), mimetype="application/json")


@blueprint.get("/<task_id>/download_log")
@documentation.validate(query=DownloadQuery, resp=answers(None, 400, 404, 503))
def download_log(task_id: str, query: DownloadQuery) -> Response:
    """The log as a CSV file without header: uri, code, message."""
    catalogue = app_context().catalogue
    catalogue.tasks.get(task_id)
    return csv_file(task_id, catalogue.ledger.log_pages(task_id), raw=query.raw)


def csv_file(name: str, pages: Iterator[LogPage], *, raw: bool = False) -> Response:
    """The log as a file download, streamed."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    lines = stream_with_context(DOWNLOADS.sending(log_csv(pages, raw=raw)))
    return Response(lines, mimetype="application/octet-stream", headers=headers)


def describe(task: ImportTask, progress: Progress, changes: Changes | None) -> Json:
    """A task as returned by `detail`."""
    return {
        "group_name": task.config.group_name,
        "config": {
            **asdict(task.config.limits),
            "mode": int(task.config.mode),
            "thread_num": task.config.thread_num,
        },
        "source": task.reading,
        "total_num": task.total_num,
        "handled_num": progress.handled,
        "success_num": progress.succeeded,
        "failed_num": progress.handled - progress.succeeded,
        "errors": {str(code): rows for code, rows in progress.failures.items()},
        "changes": changes and asdict(changes),
        "state": int(task.state),
        "last_error": task.last_error,
        "created_at": _time(task.created_at),
        "started_at": _time(task.started_at),
        "finished_at": _time(task.finished_at),
        "dag_run_id": task.run_id,
    }


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _log_json(entries: Iterator[LogEntry], total: int) -> Iterator[str]:
    """The log as JSON, many entries per piece: each piece costs a chunk and a system call."""
    piece = '{"logs":['
    while some := list(islice(entries, _ENTRIES_AT_ONCE)):
        yield piece + json.dumps([entry._asdict() for entry in some], ensure_ascii=False)[1:-1]
        piece = ","
    yield f'{piece.removesuffix(",")}],"total_count":{total}}}\n'
