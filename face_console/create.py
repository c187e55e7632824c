"""The form for a new import, with a preview of the file."""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from flask import Response, render_template, request
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import RequestEntityTooLarge

from api_shim import access, sessions
from api_shim.app_context import app_context
from api_shim.creation import Creation, create_task
from api_shim.models import CreateForm
from api_shim.slots import INTAKE
from api_shim.uploads import takes_file
from face_console.language import gettext
from face_console.texts import field_problem, request_problem
from face_console.view import blueprint, by_htmx, link, moved, shown_uri
from face_import.domain.models import Block, Row, Shard, SourceIndex
from face_import.domain.uri import display
from face_import.domain.uri_form import flaw_of
from face_import.errors import AirflowError, RequestError, SourceError, WrongState
from face_import.sources import Bounds, ingest, read_rows
from face_import.sources.encoding import CHUNK_BYTES

log = logging.getLogger(__name__)
REFUSALS = (ValidationError, RequestError, SourceError, RequestEntityTooLarge, OSError, OperationalError)
KEY_FIELD = "idempotency_key"
"""Hidden field of each rendered form: a second click creates no second import."""
Answer = str | Response | tuple[str, int]


@blueprint.get("/new")
def new() -> str:
    """The empty form."""
    return _form({}, {})


@blueprint.post("/new/preview")
@takes_file
def new_preview() -> Answer:
    """Preview the chosen file; nothing is stored."""
    settings = app_context().settings
    try:
        upload = request.files.get("file")
        if not upload or not upload.filename:
            return ""
        with INTAKE:
            seen = preview(cast("BinaryIO", upload.stream), Bounds.of(settings), settings.home / "tmp")
    except REFUSALS as error:
        problems, status = _problems(error)
        return render_template("preview.html", refusal=problems["file"]), status
    return render_template("preview.html", seen=seen, name=upload.filename, cell=cell, refusal="")


@blueprint.post("/new")
@takes_file
def create() -> Answer:
    """Create an import, and start it if requested."""
    typed: dict[str, str] = {}
    try:
        typed = request.form.to_dict()
        start = typed.pop("then", "") == "start"
        typed.pop(sessions.TOKEN_FIELD, None)
        made = _created(typed, typed.pop(KEY_FIELD, None))
    except REFUSALS as error:
        problems, status = _problems(error)
        return _form(typed, problems), status
    if start:
        try:
            app_context().control.start(made.id)
        except WrongState:
            return moved(link("show", task_id=made.id, unstarted=None if made.replayed else 1))
        except (AirflowError, RequestError):
            return moved(link("show", task_id=made.id, unstarted=1))
    return moved(link("show", task_id=made.id))


def _created(typed: dict[str, str], key: str | None) -> Creation:
    upload = request.files.get("file")
    file = {"file": upload} if upload and upload.filename else {}
    return create_task(CreateForm.model_validate(typed | file), file.get("file"), key)


def _problems(error: Exception) -> tuple[dict[str, str], int]:
    """Map an error to problems by field, and the response status."""
    if isinstance(error, ValidationError):
        return {str(problem["loc"][0]): field_problem(problem) for problem in error.errors()}, 400
    if isinstance(error, RequestError):
        return {error.field or "file": request_problem(error, app_context().settings)}, error.status
    if isinstance(error, SourceError):
        return {"file": str(error)}, 400
    if isinstance(error, RequestEntityTooLarge):
        return {"file": gettext("The file is too large.")}, 413
    log.error("an import could not be created error=%s", error)
    return {"file": gettext("The disk is full or not responding.")}, 503


def _form(typed: dict[str, str], problems: dict[str, str]) -> str:
    template = "new_fields.html" if by_htmx() else "new.html"
    return render_template(
        template,
        typed=typed,
        problems=problems,
        settings=app_context().settings,
        own_groups=access.groups(),
        key=(KEY_FIELD, uuid.uuid4().hex),
    )


FIRST_ROWS = 8
SHOWN_PROBLEMS = 200
SHOWN_CHARACTERS = 200
MOST_STRETCHES = 10_000
"""Bounds the page for a hostile file in which every other row is bad."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that cannot be imported: a key of `PROBLEMS`, and the offending text."""

    line: int
    row: int
    kind: str
    text: str


@dataclass(slots=True)
class Stretch:
    """Consecutive rows that cannot be imported, by the lines they start on; `row` is the number of the last."""

    first: int
    last: int
    row: int


@dataclass(slots=True)
class Preview:
    """A file as it was parsed.

    Attributes:
        first: its first rows.
        problems: rows that cannot be imported, the first `SHOWN_PROBLEMS`.
        others: where the others are, at most `MOST_STRETCHES`.
        problem_count: number of rows that cannot be imported.
        unlisted: number of these in neither `problems` nor `others`.
    """

    index: SourceIndex
    first: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    others: list[Stretch] = field(default_factory=list)
    problem_count: int = 0
    unlisted: int = 0

    def add(self, problem: Problem) -> None:
        """Record a row that cannot be imported; rows come in file order."""
        self.problem_count += 1
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(problem)
        elif self.others and self.others[-1].row == problem.row - 1:
            self.others[-1].last, self.others[-1].row = problem.line, problem.row
        elif len(self.others) < MOST_STRETCHES:
            self.others.append(Stretch(problem.line, problem.line, problem.row))
        else:
            self.unlisted += 1


def preview(stream: BinaryIO, bounds: Bounds, folder: Path) -> Preview:
    """Read an upload once for its index and once for its rows, a block at a time.

    Args:
        stream: the upload.
        bounds: limits on the source.
        folder: where its UTF-8 copy is kept meanwhile, in an unnamed file.

    Raises:
        SourceError: it cannot be parsed.
        SourceTooLarge: it exceeds the bounds.
    """
    with TemporaryFile(dir=folder) as copy:
        sink = cast("BinaryIO", copy)
        seen = Preview(ingest(stream, sink, bounds))
        for row in _rows(sink, seen.index):
            if len(seen.first) < FIRST_ROWS:
                seen.first.append(row)
            if problem := _problem(row):
                seen.add(problem)
    return seen


def cell(text: str) -> str:
    """A cell as it is shown: abbreviated to a few lines at most."""
    shown = display(text)
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…"


def _rows(file: BinaryIO, index: SourceIndex) -> Iterator[Row]:
    for number, block in enumerate(index.blocks):
        shard = Shard(number, block.first_row, block.rows, block.start, block.end, block.line)
        yield from read_rows(_range(file, block), index.reading, shard)


def _range(file: BinaryIO, block: Block) -> Iterator[bytes]:
    file.seek(block.start)
    left = block.end - block.start
    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk


def _problem(row: Row) -> Problem | None:
    if row.problem:
        return Problem(row.line, row.number, "columns", row.problem)
    if not row.uri:
        return Problem(row.line, row.number, "no_uri", "")
    if flaw := flaw_of(row.uri):
        return Problem(row.line, row.number, flaw.name, cell(shown_uri(row.uri)))
    return None
