"""The form for a new import, with a preview of the file."""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from flask import Response, render_template, request
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from api_shim import access, sessions
from api_shim.app_context import app_context
from api_shim.creation import Creation, create_task
from api_shim.models import CreateForm
from api_shim.slots import INTAKE
from api_shim.uploads import takes_file
from face_console.columns import FIRST_ROWS, Table, cell, reading_options, shortened, table_of, table_to_settle
from face_console.language import gettext
from face_console.texts import field_problem, request_problem
from face_console.view import blueprint, by_htmx, link, moved, shown_uri
from face_import.domain.models import AS_FOUND, Block, ReadingOptions, Row, Shard, SourceIndex
from face_import.domain.uri_form import flaw_of
from face_import.errors import AirflowError, Ambiguous, RequestError, SourceError, WrongState
from face_import.sources import Bounds, ingest, read_rows
from face_import.sources.encoding import CHUNK_BYTES, kind_of_binary
from face_import.sources.records import LineFeed, Records

log = logging.getLogger(__name__)
REFUSALS = (ValidationError, RequestError, SourceError, RequestEntityTooLarge, OSError, OperationalError)
READING_FIELDS = ("encoding", "sheet", "columns")
"""Fields that are in the preview, and are absent or empty unless somebody has changed a menu."""
KEY_FIELD = "idempotency_key"
"""Hidden field of each rendered form: a second click creates no second import."""
HEAD_BYTES = 4096
Answer = str | Response | tuple[str, int]


@blueprint.get("/new")
def new() -> str:
    """The empty form."""
    return _form({}, {})


@blueprint.post("/new/preview")
@takes_file
def new_preview() -> Answer:
    """Preview the chosen file as it is read by itself, or as the form says; nothing is stored."""
    settings = app_context().settings
    upload, options = None, AS_FOUND
    try:
        upload = request.files.get("file")
        if not upload or not upload.filename:
            return ""
        options = reading_options(request.form)
        with INTAKE:
            seen = preview(cast("BinaryIO", upload.stream), Bounds.of(settings), settings.home / "tmp", options)
    except REFUSALS as error:
        return _refused(error, upload, options)
    return render_template("preview.html", seen=seen, table=seen.table, form=request.form)


def _refused(error: Exception, upload: FileStorage | None, options: ReadingOptions) -> Answer:
    """Why a file would be rejected, with the menus that can change that."""
    problems, status = _problems(error)
    ambiguous = error if isinstance(error, Ambiguous) else None
    is_text = isinstance(error, SourceError) and upload is not None and _is_text(cast("BinaryIO", upload.stream))
    return render_template(
        "preview.html",
        refusal=ambiguous.problem if ambiguous else next(iter(problems.values())),
        ambiguous=ambiguous,
        table=table_to_settle(ambiguous, options) if ambiguous else None,
        is_text=is_text,
        form=request.form if is_text else {},
    ), status


def _is_text(file: BinaryIO) -> bool:
    """Whether a file may be text, in whatever encoding."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    return bool(head) and not kind_of_binary(head)


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
    for name in READING_FIELDS:
        if not typed.get(name):
            typed.pop(name, None)
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


SHOWN_PROBLEMS = 200
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
        table: its columns and its first rows.
        problems: rows that cannot be imported, the first `SHOWN_PROBLEMS`.
        others: where the others are, at most `MOST_STRETCHES`.
        problem_count: number of rows that cannot be imported.
        unlisted: number of these in neither `problems` nor `others`.
    """

    index: SourceIndex
    table: Table
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


def preview(stream: BinaryIO, bounds: Bounds, folder: Path, options: ReadingOptions = AS_FOUND) -> Preview:
    """Read an upload once for its index and once for its rows, a block at a time.

    Args:
        stream: the upload.
        bounds: limits on the source.
        folder: where its UTF-8 copy is kept meanwhile, in an unnamed file.
        options: what the form says about the file.

    Raises:
        Ambiguous: it has to be said which column is which.
        SourceError: it cannot be parsed.
        SourceTooLarge: it exceeds the bounds.
    """
    with TemporaryFile(dir=folder) as copy:
        sink = cast("BinaryIO", copy)
        index = ingest(stream, sink, bounds, options)
        seen = Preview(index, table_of(index.reading, _first_records(sink, index)))
        for row in _rows(sink, seen.index):
            if problem := _problem(row):
                seen.add(problem)
    return seen


def _first_records(file: BinaryIO, index: SourceIndex) -> list[list[str]]:
    """The first rows with all their cells; a `Row` has only those that are imported."""
    block = index.blocks[0]
    size = block.end - block.start
    feed = LineFeed(_range(file, block), size, size, index.reading.separator)
    return [shortened(record) for record in islice(Records(feed), FIRST_ROWS)]


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
