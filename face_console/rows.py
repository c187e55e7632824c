"""The pages of an import's rows, all of them or the imported faces, and what is done with selected rows."""

from collections.abc import Mapping

from flask import Response, render_template, request
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from api_shim import auditing, results
from api_shim.access import load_task
from api_shim.app_context import app_context
from api_shim.bodies import RowsQuery
from face_console.language import gettext
from face_console.pictures import NoPicture, portrait, thumbnail
from face_console.shown_rows import found_rows
from face_console.snapshot import meaning, overview
from face_console.task import done
from face_console.texts import field_problem
from face_console.view import blueprint
from face_import.catalogue import Selection
from face_import.catalogue.schema import MEASURED
from face_import.contract import MAX_ROW, Rows
from face_import.domain.failed_rows import FailedRows
from face_import.domain.row_spans import Spans, row_spans
from face_import.errors import InvalidRequest, RequestError, SourceError, TaskNotFound, WrongState

PAGE = 25
PICTURE_S = 600
PLACEHOLDER = "no-picture.svg"
FIELDS = ("q", "row", "code", "sort", "skip")
KINDS = (Rows.FAILED, Rows.UNHANDLED)
"""Rows that the menu of results has beside the codes."""


@blueprint.get("/tasks/<task_id>/rows")
def show_rows(task_id: str) -> tuple[str, int]:
    """Rows by number, result, and a text in their cells or their message."""
    return _page("task_rows.html", task_id, {})


@blueprint.get("/tasks/<task_id>/imported")
def show_imported(task_id: str) -> tuple[str, int]:
    """The imported rows, with their faces."""
    return _page("task_imported.html", task_id, {"rows": Rows.IMPORTED, "code": ""})


@blueprint.get("/tasks/<task_id>/rows.csv")
def task_picked_rows(task_id: str) -> Response:
    """The selected rows as a file to import."""
    load_task(task_id)
    return results.results_file(task_id, Selection(Rows.ALL, spans=_picked(request.args)))


@blueprint.post("/tasks/<task_id>/rows/retry")
def task_retry_rows(task_id: str) -> Response | tuple[str, int]:
    """Retry the failed ones of the selected rows."""
    wanted = FailedRows(spans=_picked(request.form))

    def retry() -> None:
        rows = app_context().control.retry(task_id, wanted)
        auditing.details(rows=rows)
        if not rows:
            raise InvalidRequest(gettext("None of the selected rows has failed."), field="row")

    return done(task_id, retry)


@blueprint.get("/console/thumbnail/<task_id>/<int:row>")
def picture(task_id: str, row: int) -> Response:
    """The thumbnail of a row that was handled, or a placeholder if there is none; with `face=1`, its face in a box."""
    load_task(task_id)
    entry = overview().handled_row(task_id, row) if row <= MAX_ROW else None
    if entry is None:
        raise TaskNotFound(f"task {task_id} has handled no row {row}")
    lasting = True
    try:
        if request.args.get("face") == "1":
            jpeg, lasting = portrait(app_context(), task_id, entry, _measured(task_id, row))
        else:
            jpeg = thumbnail(app_context(), task_id, entry)
        response = Response(jpeg, mimetype="image/jpeg")
    except (NoPicture, RequestError, SourceError, OSError):
        response = blueprint.send_static_file(PLACEHOLDER)
    response.cache_control.no_cache = None if lasting else True
    response.cache_control.private, response.cache_control.max_age = True, PICTURE_S if lasting else None
    return response


def _page(template: str, task_id: str, fixed: dict[str, object]) -> tuple[str, int]:
    task = load_task(task_id)
    typed = {name: ",".join(filter(None, map(str.strip, request.args.getlist(name)))) for name in FIELDS}
    typed = {name: text for name, text in typed.items() if text}
    asked: dict[str, object] = {**typed, "limit": PAGE}
    if typed.get("code") in KINDS:
        asked |= {"rows": typed["code"], "code": ""}
    page, problems, status = None, {}, 200
    try:
        page = results.search(task_id, RowsQuery.model_validate(asked | fixed))
    except ValidationError as error:
        problems, status = {str(problem["loc"][0]): field_problem(problem) for problem in error.errors()}, 400
    except WrongState:
        pass  # its file is not read yet, which is no error of the reader's
    codes = app_context().catalogue.ledger.progress(task_id).by_code
    return render_template(
        template,
        task=task,
        typed=typed,
        filtered=typed.keys() - {"skip"},
        problems=problems,
        page=page,
        following=page and _following(page, typed),
        rows=list(found_rows(task, page.found)) if page else [],
        codes=[(code, meaning(task, code)) for code in sorted(codes)],
    ), status


def _following(page: results.Page, typed: Mapping[str, str]) -> dict[str, str] | None:
    """The query of the rows after these: more of those that were sorted, or those that were not looked at."""
    found = page.found
    seen = found.skipped + len(found.rows)
    if found.sorted is not None and seen < found.sorted:
        return {**typed, "skip": str(seen)}
    return {**typed, "row": page.next, "skip": ""} if page.next else None


def _picked(form: MultiDict[str, str]) -> Spans:
    try:
        spans = row_spans(",".join(form.getlist("row")))
    except ValueError as error:
        raise InvalidRequest(f"row: {error}", field="row") from None
    if not spans:  # must not mean all rows
        raise InvalidRequest(gettext("Select rows first."), field="row")
    return spans


def _measured(task_id: str, row: int) -> dict[str, float | None]:
    """What was measured of a row."""
    selection = Selection(Rows.ALL, spans=((row, row),))
    ((result,),) = app_context().catalogue.outcomes.pages(task_id, selection, row)
    return dict(zip(MEASURED, result[-len(MEASURED) :], strict=True))
