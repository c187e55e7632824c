"""The endpoints that show what became of every row: as a CSV file, and as JSON a page at a time."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, stream_with_context

from api_shim.app_context import app_context
from api_shim.bodies import ResultsQuery, RowsQuery
from api_shim.documentation import answers, documentation
from api_shim.responses import ResultPage
from api_shim.results_csv import results_csv
from api_shim.slots import DOWNLOADS
from api_shim.tasks import check_task_id
from face_import.catalogue import Selection
from face_import.catalogue.schema import MEASURED
from face_import.contract import MAX_ROW, Code, Reason, Rows
from face_import.domain.row_spans import ALL_ROWS, Spans, common, row_spans, spelled
from face_import.errors import InvalidRequest
from face_import.results import Found, ResultRow, Results, Search

blueprint = Blueprint("results", __name__, url_prefix="/v1/tasks")
blueprint.before_request(check_task_id)


@blueprint.get("/<task_id>/download_rows")
@documentation.validate(operation_id="download_rows", query=ResultsQuery, resp=answers("text/csv", 404, 409, 503))
def download_rows(task_id: str, query: ResultsQuery) -> Response:
    """The rows of the file with what became of them, as a CSV file that `create` takes as it is."""
    selection = selected(query.rows, query.code, query.reason, row_spans(query.row))
    return results_file(task_id, selection)


@blueprint.get("/<task_id>/rows")
@documentation.validate(operation_id="get_rows", query=RowsQuery, resp=answers(ResultPage, 404, 409, 503))
def rows(task_id: str, query: RowsQuery) -> dict[str, Any]:
    """A page of the file's rows with what became of them.

    A request looks at a bounded part of the file: as long as `next` is not null, there may be more from there on.
    """
    page = search(task_id, query)
    return {
        "columns": page.found.titles,
        "rows": [_described(row) for row in page.found.rows],
        "skipped": page.found.skipped,
        "looked_to": page.found.looked_to,
        "sorted": page.found.sorted,
        "next": page.next,
        "total_num": page.total,
    }


@dataclass(frozen=True, slots=True)
class Page:
    """Rows that a query found.

    Attributes:
        next: `row` of the query that continues from there, None at the end.
        total: rows of the file.
    """

    found: Found
    next: str | None
    total: int


def search(task_id: str, query: RowsQuery) -> Page:
    """Search a bounded part of a task's file.

    Raises:
        TaskNotFound: no file is stored for the task.
        WrongState: its file has not been read yet.
    """
    results = results_of(task_id)
    selection = selected(query.rows, query.code, None, row_spans(query.row))
    found = results.search(selection, Search(query.id, query.tag, query.q, query.sort), query.skip, query.limit)
    after = common(selection.spans, found.looked_to + 1, MAX_ROW)
    left = tuple(span for span in after if span[0] <= results.total)
    return Page(found, spelled(left) or None, results.total)


def results_file(task_id: str, selection: Selection) -> Response:
    """These rows as a file download, streamed."""
    pieces = DOWNLOADS.sending(results_csv(results_of(task_id), selection))
    headers = {"Content-Disposition": f'attachment; filename="{task_id}-{selection.rows}.csv"'}
    return Response(stream_with_context(pieces), mimetype="text/csv", headers=headers)


def results_of(task_id: str) -> Results:
    """What became of the rows of a task.

    Raises:
        TaskNotFound: no file is stored for the task.
        WrongState: its file has not been read yet.
    """
    context = app_context()
    return Results(context.catalogue, context.storage, task_id)


def selected(rows: Rows, code: Code | None, reason: Reason | None, spans: Spans) -> Selection:
    """The selection that a query means; a code or a reason says itself what became of its rows."""
    if code is not None:
        is_of = Rows.IMPORTED if code == Code.OK else Rows.FAILED
        if rows not in {Rows.ALL, is_of}:
            raise InvalidRequest(f"code: no {rows} row has code {int(code)}", field="code")
        rows = is_of
    if reason is not None:
        if rows not in {Rows.ALL, Rows.FAILED}:
            raise InvalidRequest("reason: only failed rows have one", field="reason")
        rows = Rows.FAILED
    return Selection(rows, code, reason, spans or ALL_ROWS)


def _described(row: ResultRow) -> dict[str, Any]:
    (number, code, reason, message, face_id, *measured), (line, cells) = row
    return {
        "row": number,
        "line": line,
        "cells": cells,
        "code": code,
        "reason": reason,
        "message": message,
        "face_id": face_id,
        **dict(zip(MEASURED, measured, strict=True)),
    }
