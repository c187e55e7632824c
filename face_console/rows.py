"""The pages of an import's rows, all of them or the imported faces, and what is done with selected rows."""

from collections.abc import Mapping

from flask import Response, render_template, request
from pydantic import ValidationError

from api_shim import auditing, results
from api_shim.access import load_task
from api_shim.app_context import app_context
from api_shim.bodies import RowsQuery
from face_console.language import gettext
from face_console.picking import acted_on, picked_rows, with_result
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
from face_import.domain.row_spans import common, row_spans, spelled
from face_import.errors import InvalidRequest, RequestError, SourceError, TaskNotFound, WrongState

PAGE = 25
PICTURE_S = 600
PLACEHOLDER = "no-picture.svg"
FIELDS = ("q", "row", "code", "sort", "after", "skip")
"""What the address of a page says: `after` is the last row that the pages before have looked at."""


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
    return results.results_file(task_id, acted_on(request.args))


@blueprint.post("/tasks/<task_id>/rows/retry")
def task_retry_rows(task_id: str) -> Response | tuple[str, int]:
    """Retry the failed ones of the selected rows."""
    wanted = acted_on(request.form)
    may_have_failed = wanted.rows in {Rows.ALL, Rows.FAILED}

    def retry() -> None:
        failed = FailedRows(codes=() if wanted.code is None else (wanted.code,), spans=wanted.spans)
        rows = app_context().control.retry(task_id, failed) if may_have_failed else 0
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
    after = typed.get("after", "")
    asked: dict[str, object] = {name: text for name, text in typed.items() if name != "after"} | {"limit": PAGE}
    asked |= with_result(typed.get("code", "")) | fixed
    page, following, picked, problems, status = None, None, None, {}, 200
    try:
        query = RowsQuery.model_validate(asked)
        matching = results.selected(query.rows, query.code, None, row_spans(query.row))
        first = min(int(after[:10]) + 1, MAX_ROW) if after.isdecimal() else 1
        rest = tuple(common(matching.spans, first, MAX_ROW)) or ((MAX_ROW, MAX_ROW),)
        page = results.search(task_id, query.model_copy(update={"row": spelled(rest)}))
        shown = [result[0] for result, _ in page.found.rows]
        following = _following(page, typed)
        goes_on = following is not None or bool(typed.keys() & {"skip", "after"})
        picked = picked_rows(task, matching, shown, query.q, goes_on=goes_on)
    except ValidationError as error:
        problems, status = {str(problem["loc"][0]): field_problem(problem) for problem in error.errors()}, 400
    except WrongState:
        pass  # its file is not read yet, which is no error of the reader's
    codes = app_context().catalogue.ledger.progress(task_id).by_code
    return render_template(
        template,
        task=task,
        typed=typed,
        filtered=typed.keys() - {"skip", "after"},
        problems=problems,
        page=page,
        following=following,
        picked=picked,
        rows=list(found_rows(task, page.found)) if page else [],
        codes=[(code, meaning(task, code)) for code in sorted(codes)],
    ), status


def _following(page: results.Page, typed: Mapping[str, str]) -> dict[str, str] | None:
    """The query of the rows after these: more of those that were sorted, or those that were not looked at."""
    found = page.found
    seen = found.skipped + len(found.rows)
    if found.sorted is not None and seen < found.sorted:
        return {**typed, "skip": str(seen)}
    return {**typed, "after": str(found.looked_to), "skip": ""} if page.next else None


def _measured(task_id: str, row: int) -> dict[str, float | None]:
    """What was measured of a row."""
    selection = Selection(Rows.ALL, spans=((row, row),))
    ((result,),) = app_context().catalogue.outcomes.pages(task_id, selection, row)
    return dict(zip(MEASURED, result[-len(MEASURED) :], strict=True))
