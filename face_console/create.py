"""The form for a new import, with a preview of the file."""

import logging
import uuid
from dataclasses import asdict
from typing import BinaryIO, cast

from flask import Response, render_template, request
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from api_shim import access, auditing, sessions
from api_shim.app_context import app_context
from api_shim.creation import Creation, create_task
from api_shim.forms import CreateForm
from api_shim.slots import INTAKE
from api_shim.uploads import takes_file
from face_console.columns import table_to_settle
from face_console.language import gettext
from face_console.messages import translated
from face_console.presets import PRESETS
from face_console.preview import preview
from face_console.snapshot import overview
from face_console.texts import field_problem, request_problem
from face_console.view import blueprint, by_htmx, link, moved
from face_import.domain.reading import AS_FOUND, READING_FIELDS, ReadingOptions, reading_options
from face_import.errors import AirflowError, Ambiguous, RequestError, SourceError, WrongState
from face_import.sources import Bounds
from face_import.sources.encoding import kind_of_binary
from face_import.sources.workbook import is_workbook

log = logging.getLogger(__name__)
REFUSALS = (ValidationError, RequestError, SourceError, RequestEntityTooLarge, OSError, OperationalError)
KEY_FIELD = "idempotency_key"
"""Hidden field of each rendered form: a second click creates no second import."""
HEAD_BYTES = 4096
Answer = str | Response | tuple[str, int]


@blueprint.get("/new")
def new() -> str:
    """The empty form, with the limits that the query names a preset of."""
    preset = PRESETS.get(request.args.get("limits", ""))
    return _form({name: str(limit) for name, limit in asdict(preset.limits).items()} if preset else {}, {})


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
        refusal=translated(ambiguous.problem) if ambiguous else next(iter(problems.values())),
        ambiguous=ambiguous,
        refused=error if isinstance(error, SourceError) else None,
        table=table_to_settle(ambiguous, options) if ambiguous else None,
        is_text=is_text,
        form=request.form if isinstance(error, SourceError) else {},
    ), status


def _is_text(file: BinaryIO) -> bool:
    """Whether a file may be text, in whatever encoding."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    return bool(head) and not is_workbook(head) and not kind_of_binary(head)


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
            auditing.details(started=True)
        except WrongState:
            return moved(link("show", task_id=made.id, unstarted=None if made.replayed else 1))
        except (AirflowError, RequestError):
            return moved(link("show", task_id=made.id, unstarted=1))
    return moved(link("show", task_id=made.id))


def _created(typed: dict[str, str], key: str | None) -> Creation:
    for name in READING_FIELDS:  # of the preview: absent or empty unless somebody has changed a menu
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
        return {"file": translated(str(error))}, 400
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
        presets=PRESETS,
        groups=_groups(),
        key=(KEY_FIELD, uuid.uuid4().hex),
    )


def _groups() -> list[str]:
    """Groups to choose from: those that were imported into, the latest first, then the key's others."""
    return list(dict.fromkeys((*overview().groups(), *(access.groups() or ()))))
