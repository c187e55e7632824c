"""The endpoints of the API: parse, call, respond."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

from flask import Blueprint, Response, request, stream_with_context

from api_shim import access, auditing
from api_shim.app_context import app_context
from api_shim.bodies import (
    ConfigBody,
    DownloadQuery,
    JudgeBody,
    LimitsBody,
    ListBody,
    LogQuery,
    MeasurementsQuery,
    RetryBody,
)
from api_shim.creation import create_task, scoped
from api_shim.described import callback, described
from api_shim.documentation import answers, documentation
from api_shim.forms import KEY_HEADER, REPLAYED_HEADER, CreateForm, CreateHeaders
from api_shim.log_csv import log_csv
from api_shim.responses import Created, Detail, Done, Histogram, Judged, Limited, Listed, Log, Retried, Started
from api_shim.slots import DOWNLOADS
from api_shim.uploads import takes_file
from face_import.catalogue import Changed, LogEntry, LogPage, measured
from face_import.catalogue.progress import summary
from face_import.catalogue.reports import Overview
from face_import.contract import TaskState
from face_import.domain.failed_rows import failed_rows
from face_import.domain.identity import is_task_id
from face_import.domain.limits import check_threads

blueprint = Blueprint("tasks", __name__, url_prefix="/v1/tasks")
Json = dict[str, Any]
_ENTRIES_AT_ONCE = 1000
SUMMARIES = 100


@blueprint.before_request
def check_task_id() -> None:
    """Return 404 for malformed task ids, before any query, and for tasks of groups without access."""
    task_id = (request.view_args or {}).get("task_id")
    if task_id is not None and (access.is_scoped() or not is_task_id(task_id)):
        access.load_task(task_id)


@blueprint.post("/create")
@takes_file
@documentation.validate(
    operation_id="create_task", form=CreateForm, headers=CreateHeaders, resp=answers(Created, 408, 409, 413, 503)
)
def create(form: CreateForm) -> tuple[Json, int, dict[str, str]]:
    """Create an import task from a CSV or xlsx file, or from the URL of one.

    A file is parsed at once: one that cannot be parsed is rejected, and nothing is stored. A URL is read when the task
    is started. With an `Idempotency-Key`, sending the request again answers the same id.
    """
    made = create_task(form, request.files.get("file"), request.headers.get(KEY_HEADER))
    return {"id": made.id}, 200, {REPLAYED_HEADER: "true"} if made.replayed else {}


@blueprint.route("/<task_id>/start", methods=["GET", "POST"])
@documentation.validate(operation_id="start_task", resp=answers(Started, 404, 409, 503))
def start(task_id: str) -> Json:
    """Start a task, or resume a stopped one."""
    context = app_context()
    context.control.start(task_id)
    notice = context.notices.of(context.catalogue.tasks.get(task_id))
    return {"notice": notice} if notice else {}


@blueprint.route("/<task_id>/stop", methods=["GET", "POST"])
@documentation.validate(operation_id="stop_task", resp=answers(Done, 404, 409, 503))
def stop(task_id: str) -> Json:
    """Stop a running task; no further row starts after the response."""
    app_context().stop(task_id)
    return {}


@blueprint.post("/<task_id>/retry")
@documentation.validate(operation_id="retry_task", json=RetryBody, resp=answers(Retried, 404, 409, 503))
def retry(task_id: str, body: RetryBody) -> Json:
    """Fetch and import failed rows of a stopped or completed task again; imported rows are left alone."""
    wanted = failed_rows(body.codes, body.reasons, body.rows)
    if body.preview:
        auditing.only_read()
        return {"rows": app_context().catalogue.reopening.count(task_id, wanted)}
    rows = app_context().control.retry(task_id, wanted)
    auditing.details(rows=rows)
    return {"rows": rows}


@blueprint.post("/<task_id>/undo")
@documentation.validate(operation_id="undo_task", resp=answers(Created, 404, 409, 503))
def undo(task_id: str) -> Json:
    """Start a task that removes the faces which a stopped or completed task has added; returns its id.

    Sending the request again answers the same id, until that task is completed or deleted.
    """
    undone_by = app_context().control.undo(task_id)
    auditing.details(undone_by=undone_by)
    return {"id": undone_by}


@blueprint.post("/<task_id>/limits")
@documentation.validate(operation_id="change_limits", json=LimitsBody, resp=answers(Limited, 404, 409, 503))
def limits(task_id: str, body: LimitsBody) -> Json:
    """Give a stopped or completed task other limits: rows that pass now are imported, faces that do not are removed."""
    context = app_context()
    changed = Changed(body.limits, real=body.dry_run is False)
    if body.preview:
        auditing.only_read()
        return asdict(context.catalogue.new_limits.count(task_id, changed))
    auditing.details(**body.limits, **({"dry_run": 0} if changed.real else {}))
    return asdict(context.control.limit(task_id, changed))


@blueprint.route("/<task_id>/delete", methods=["GET", "POST"])
@documentation.validate(operation_id="delete_task", resp=answers(Done, 404, 503))
def delete(task_id: str) -> Json:
    """Stop and delete a task in any state; faces already added stay in the group."""
    app_context().control.delete(task_id)
    return {}


@blueprint.post("/<task_id>/config")
@documentation.validate(operation_id="configure_task", json=ConfigBody, resp=answers(Done, 404, 409, 503))
def config(task_id: str, body: ConfigBody) -> Json:
    """Change a task's concurrency or what failed rows do; in a running task it takes effect within seconds."""
    context, numbers = app_context(), body.model_dump(exclude_unset=True)
    auditing.details(**numbers)
    check_threads(context.settings, thread_num=numbers.get("thread_num", 0))
    context.control.configure(task_id, **numbers)
    return {}


@blueprint.post("/list")
@documentation.validate(operation_id="list_tasks", json=ListBody, resp=answers(Listed, 503))
def list_tasks(body: ListBody) -> Json:
    """A group's tasks, or those of all groups that the request's key has access to, oldest first."""
    if body.group_name:
        access.check_group(body.group_name)
    overview = Overview(app_context().catalogue.engine, (body.group_name,) if body.group_name else access.groups())
    state = TaskState(body.status) if body.status else None
    key = None if body.idempotency_key is None else scoped(body.idempotency_key)
    if body.fields == "ids":
        return {"ids": overview.ids(state=state, create_key=key, skip=body.skip, limit=body.limit)}
    page = overview.page(state=state, create_key=key, skip=body.skip, limit=body.limit or SUMMARIES)
    return {
        "ids": [task.id for task, _ in page.tasks],
        "tasks": [summary(*counted) for counted in page.tasks],
        "total_count": page.total,
    }


@blueprint.get("/<task_id>/detail")
@documentation.validate(operation_id="get_detail", resp=answers(Detail, 404, 503))
def detail(task_id: str) -> Json:
    """A task's configuration, state and progress."""
    context = app_context()
    task, ledger = context.catalogue.tasks.get(task_id), context.catalogue.ledger
    changes = ledger.changes(task_id) if task.config.counts_changes else None
    waiting = context.catalogue.hosts.waiting(task_id) if task.state == TaskState.RUNNING else []
    return described(task, ledger.progress(task_id), changes, waiting) | {
        "callback": callback(task, context.catalogue.callbacks.last(task_id)),
        "notice": context.notices.of(task),
    }


@blueprint.post("/<task_id>/judge")
@documentation.validate(operation_id="judge_limits", json=JudgeBody, resp=answers(Judged, 404, 503))
def judge(task_id: str, body: JudgeBody) -> Json:
    """How the rows handled so far would end under other limits, by what was measured of them."""
    catalogue = app_context().catalogue
    own = catalogue.tasks.get(task_id).config.limits
    limits = replace(own, **body.model_dump(exclude_none=True))
    found = measured.judged(catalogue.engine, task_id, own, limits)
    errors, others = ({str(code): rows for code, rows in by_code.items()} for by_code in (found.errors, found.others))
    return {
        "limits": asdict(limits),
        "handled_num": found.handled,
        "success_num": found.within,
        "errors": errors,
        "unmeasured_num": found.unmeasured,
        "other_errors": others,
    }


@blueprint.get("/<task_id>/measurements")
@documentation.validate(operation_id="get_measurements", query=MeasurementsQuery, resp=answers(Histogram, 404, 503))
def measurements(task_id: str, query: MeasurementsQuery) -> Json:
    """How a measurement is distributed over the rows handled so far."""
    catalogue = app_context().catalogue
    catalogue.tasks.get(task_id)
    found = measured.histogram(catalogue.engine, task_id, query.of, query.bins)
    return {"of": query.of, "edges": found.edges, "counts": found.counts, "unmeasured_num": found.unmeasured}


@blueprint.get("/<task_id>/log")
@documentation.validate(operation_id="get_log", query=LogQuery, resp=answers(Log, 404, 503))
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
@documentation.validate(
    operation_id="download_log", query=DownloadQuery, resp=answers("application/octet-stream", 404, 503)
)
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


def _log_json(entries: Iterator[LogEntry], total: int) -> Iterator[str]:
    """The log as JSON, many entries per piece: each piece costs a chunk and a system call."""
    piece = '{"logs":['
    while some := list(islice(entries, _ENTRIES_AT_ONCE)):
        yield piece + json.dumps([entry._asdict() for entry in some], ensure_ascii=False)[1:-1]
        piece = ","
    yield f'{piece.removesuffix(",")}],"total_count":{total}}}\n'
