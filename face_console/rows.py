"""The page of an import's rows: a search of the file and of what became of its rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import render_template, request
from pydantic import ValidationError

from api_shim import results
from api_shim.access import load_task
from api_shim.app_context import app_context
from api_shim.bodies import RowsQuery
from face_console.language import gettext
from face_console.neighbours import Neighbour, neighbours_of
from face_console.pictures import NOT_TRIED
from face_console.snapshot import meaning
from face_console.texts import field_problem
from face_console.view import blueprint
from face_import.catalogue import ImportTask
from face_import.errors import WrongState
from face_import.results import Found, cell_at

PAGE = 25
FIELDS = ("q", "row", "code")


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row of the file.

    Attributes:
        meaning: that of its code; empty without an outcome.
        pictured: whether its image may be shown.
        neighbour: the face because of which its tag is doubtful, if it is.
    """

    number: int
    id: str
    tag: str
    uri: str
    code: int | None
    meaning: str
    message: str
    pictured: bool
    neighbour: Neighbour | None


@blueprint.get("/tasks/<task_id>/rows")
def show_rows(task_id: str) -> tuple[str, int]:
    """Rows by number, code, and a text in their cells or their message."""
    task = load_task(task_id)
    typed = {name: request.args[name].strip() for name in FIELDS if request.args.get(name, "").strip()}
    page, problems, status = None, {}, 200
    try:
        page = results.search(task_id, RowsQuery.model_validate({**typed, "limit": PAGE}))
    except ValidationError as error:
        problems, status = {str(problem["loc"][0]): _problem(problem) for problem in error.errors()}, 400
    except WrongState:
        pass  # its file is not read yet, which is no error of the reader's
    shown = list(_shown(task, page.found)) if page else []
    codes = app_context().catalogue.ledger.progress(task_id).by_code
    return render_template(
        "task_rows.html",
        task=task,
        typed=typed,
        problems=problems,
        page=page,
        rows=shown,
        codes=[(code, meaning(task, code)) for code in sorted(codes)],
    ), status


def _problem(problem: Any) -> str:
    """What is wrong with a field."""
    is_row = problem["loc"][0] == "row"
    return gettext("Enter a number, or a range such as 12-40.") if is_row else field_problem(problem)


def _shown(task: ImportTask, found: Found) -> Iterator[ShownRow]:
    neighbours = neighbours_of(task, [row[0] for row, _ in found.rows])
    for (number, code, _, message, *_), (_, cells) in found.rows:
        cell = {field: cell_at(cells, position) for field, position in found.columns.items()}
        yield ShownRow(
            number,
            cell.get("id", ""),
            cell.get("tag", ""),
            cell.get("uri", ""),
            code,
            "" if code is None else meaning(task, code),
            message,
            code is not None and code not in NOT_TRIED and bool(cell.get("uri")),
            neighbours.get(number),
        )
