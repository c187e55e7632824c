"""One import: its page, its live updates, and its actions."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from flask import Response, g, render_template, request
from pydantic import ValidationError

from api_shim import auditing
from api_shim.access import load_task
from api_shim.app_context import app_context
from api_shim.described import callback
from api_shim.forms import ConcurrencyForm
from api_shim.results import results_file
from api_shim.tasks import csv_file
from face_console.charts import Throughput, throughput
from face_console.picking import picked_rows
from face_console.shown_rows import logged_rows
from face_console.snapshot import Snapshot, overview, snapshot_of
from face_console.texts import field_problem, request_problem
from face_console.view import blueprint, link, moved
from face_import.catalogue import Selection
from face_import.contract import DAG_ID, Code, Rows
from face_import.domain.failed_rows import failed_rows
from face_import.domain.limits import check_threads
from face_import.domain.models import Shard
from face_import.domain.planning import MAX_SHARDS
from face_import.domain.row_spans import ALL_ROWS
from face_import.errors import AirflowError, InvalidRequest, RequestError, TaskNotFound

LOG_PAGE = 25


@blueprint.get("/tasks/<task_id>")
def show(task_id: str) -> str:
    """An import and its log."""
    return _page(task_id)


@blueprint.get("/tasks/<task_id>/live")
def task_live(task_id: str) -> str | Response:
    """What has changed in an import since the page was rendered.

    Elements that can have the keyboard focus (buttons) are sent only if the state differs from the page's.
    """
    try:
        snapshot = _snapshot(task_id)
    except TaskNotFound:
        return Response(status=204, headers={"HX-Refresh": "true"})
    changed = request.args.get("mark") != snapshot.mark
    seen = request.args.get("failed", 0, int)
    return render_template("task_live.html", snapshot=snapshot, changed=changed, seen=seen, chart=_throughput(snapshot))


@blueprint.post("/tasks/<task_id>/start")
def task_start(task_id: str) -> Response | tuple[str, int]:
    """Start or resume an import."""
    return done(task_id, lambda: app_context().control.start(task_id))


@blueprint.post("/tasks/<task_id>/stop")
def task_stop(task_id: str) -> Response | tuple[str, int]:
    """Stop an import."""
    return done(task_id, lambda: app_context().stop(task_id))


@blueprint.post("/tasks/<task_id>/retry")
def task_retry(task_id: str) -> Response | tuple[str, int]:
    """Retry the failed rows with a code, or all of them."""
    code = request.form.get("code", type=int)
    if code is None and "code" in request.form:  # must not mean all rows
        raise InvalidRequest(f"code: {request.form['code'][:40]!r} is not an error code", field="code")
    wanted = failed_rows([] if code is None else [code], [], "")
    return done(task_id, lambda: app_context().control.retry(task_id, wanted))


@blueprint.post("/tasks/<task_id>/undo")
def task_undo(task_id: str) -> Response | tuple[str, int]:
    """Remove what an import has added, by an import of its own, and show that one."""
    undo: list[str] = []
    shown = done(task_id, lambda: undo.append(app_context().control.undo(task_id)))
    if not undo:
        return shown
    auditing.details(undone_by=undo[0])
    return moved(link("show", task_id=undo[0]))


@blueprint.post("/tasks/<task_id>/delete")
def task_delete(task_id: str) -> Response | tuple[str, int]:
    """Delete an import and return to the list."""
    group = g.task.config.group_name
    return done(task_id, lambda: app_context().control.delete(task_id), link("index", deleted=group))


@blueprint.post("/tasks/<task_id>/concurrency")
def task_concurrency(task_id: str) -> Response | tuple[str, int]:
    """Change the concurrency."""
    context = app_context()
    typed = request.form.get("thread_num", "")
    try:
        body = ConcurrencyForm.model_validate({"thread_num": typed})
        check_threads(context.settings, thread_num=body.thread_num)
    except ValidationError as error:
        return _page(task_id, concurrency=(typed, field_problem(error.errors()[0]))), 400
    except InvalidRequest as error:
        return _page(task_id, concurrency=(typed, request_problem(error, context.settings))), 400
    auditing.details(thread_num=body.thread_num)
    return done(task_id, lambda: context.control.configure(task_id, thread_num=body.thread_num))


@blueprint.get("/tasks/<task_id>/log.csv")
def task_log(task_id: str) -> Response:
    """The log as a file, filtered as on the page; `download_log` accepts no sessions."""
    load_task(task_id)
    shard, code = _shard(task_id), _code()
    name = "-".join((task_id, *([f"shard-{shard.number}"] if shard else []), *([str(code.value)] if code else [])))
    return csv_file(name, app_context().catalogue.ledger.log_pages(task_id, code=code, within=shard))


@blueprint.get("/tasks/<task_id>/failed.csv")
def task_failed_rows(task_id: str) -> Response:
    """The failed rows with all columns of the file, filtered as on the page, to be corrected and imported."""
    load_task(task_id)
    shard = _shard(task_id)
    spans = ((shard.first_row, shard.last_row),) if shard else ALL_ROWS
    return results_file(task_id, Selection(Rows.FAILED, _code() or None, spans=spans))


def done(task_id: str, act: Callable[[], object], then: str = "") -> Response | tuple[str, int]:
    """Run an action on a task and show its page, with the error on top if it failed."""
    try:
        act()
    except TaskNotFound:
        raise
    except RequestError as error:
        return _page(task_id, error=(error.code, str(error))), error.status
    except AirflowError as error:
        return _page(task_id, error=("airflow_unavailable", str(error))), 503
    return moved(then or link("show", task_id=task_id))


def _snapshot(task_id: str) -> Snapshot:
    catalogue = app_context().catalogue
    snapshot = snapshot_of(load_task(task_id), catalogue.ledger.progress(task_id))
    return replace(
        snapshot,
        changes=catalogue.ledger.changes(task_id) if snapshot.task.config.counts_changes else None,
        waiting=catalogue.hosts.waiting(task_id) if snapshot.running else [],
        callback=callback(snapshot.task, catalogue.callbacks.last(task_id)),
    )


def _page(task_id: str, *, error: tuple[str, str] | None = None, concurrency: tuple[str, str] | None = None) -> str:
    snapshot, context = _snapshot(task_id), app_context()
    shard = _shard(task_id)
    failures = (
        snapshot.progress.failures
        if shard is None
        else context.catalogue.ledger.progress(task_id, shard.number).failures
    )
    code = wanted if (wanted := _code()) in failures else None
    total = sum(failures.values()) if code is None else failures[code]
    pages = -(-total // LOG_PAGE)
    number = min(max(request.args.get("page", 1, int), 1), max(pages, 1))
    skip = (number - 1) * LOG_PAGE
    log = list(context.catalogue.ledger.log(task_id, skip=skip, limit=LOG_PAGE, code=code, within=shard))
    rows = list(logged_rows(context, snapshot.task, log))
    matching = Selection(Rows.FAILED, code, spans=((shard.first_row, shard.last_row),) if shard else ALL_ROWS)
    picked = picked_rows(snapshot.task, matching, [row.number for row in rows], goes_on=pages > 1)
    airflow = f"{context.settings.airflow_pages}/dags/{DAG_ID}/runs/{quote(snapshot.task.run_id, safe='')}"
    return render_template(
        "task.html",
        snapshot=snapshot,
        rows=rows,
        picked=picked,
        shard=shard,
        failures=failures,
        code=code,
        total=total,
        number=number,
        pages=pages,
        chart=_throughput(snapshot),
        airflow=airflow,
        error=error,
        concurrency=concurrency or (str(snapshot.task.config.thread_num), ""),
        max_concurrency=context.settings.max_threads,
    )


def _shard(task_id: str) -> Shard | None:
    """The shard that the log is filtered by."""
    number = request.args.get("shard", type=int)
    if number is None or not 0 <= number < MAX_SHARDS:
        return None
    with suppress(TaskNotFound):
        return app_context().catalogue.plans.shard(task_id, number)
    return None


def _code() -> Code | None:
    """The code that the log is filtered by; unknown codes are ignored."""
    wanted = request.args.get("code", type=int)
    return Code(wanted) if wanted in set(Code) else None


def _throughput(snapshot: Snapshot) -> Throughput | None:
    if not snapshot.progress.handled:
        return None
    return throughput(overview().handled(snapshot.task.id, snapshot.task.total_num), snapshot.progress.handled)
