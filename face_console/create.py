"""The form for a new import, with a preview of the file."""

import logging
from typing import BinaryIO, cast

from flask import Response, render_template, request
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import RequestEntityTooLarge

from api_shim import access, sessions
from api_shim.app_context import app_context
from api_shim.models import CreateForm
from api_shim.slots import INTAKE
from api_shim.tasks import create_task
from api_shim.uploads import takes_file
from face_console.language import gettext
from face_console.preview import cell, preview
from face_console.texts import field_problem, request_problem
from face_console.view import blueprint, by_htmx, link, moved
from face_import.errors import AirflowError, RequestError, SourceError
from face_import.sources import Bounds

log = logging.getLogger(__name__)
REFUSALS = (ValidationError, RequestError, SourceError, RequestEntityTooLarge, OSError, OperationalError)
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
        task_id = _created(typed)
    except REFUSALS as error:
        problems, status = _problems(error)
        return _form(typed, problems), status
    if start:
        try:
            app_context().control.start(task_id)
        except (AirflowError, RequestError):
            return moved(link("show", task_id=task_id, unstarted=1))
    return moved(link("show", task_id=task_id))


def _created(typed: dict[str, str]) -> str:
    upload = request.files.get("file")
    file = {"file": upload} if upload and upload.filename else {}
    return create_task(CreateForm.model_validate(typed | file), file.get("file"))


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
        template, typed=typed, problems=problems, settings=app_context().settings, own_groups=access.groups()
    )
