"""A group's page: how many faces it has, its imports, and a search by picture."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import abort, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge

from api_shim import access, auditing
from api_shim.app_context import app_context
from api_shim.slots import SIZES
from api_shim.uploads import takes_picture
from face_console.language import gettext
from face_console.search import NoAnswer, NoGroup, Searched, TooLarge, search, size_of
from face_console.view import blueprint, by_htmx
from face_import.catalogue import GroupRecord
from face_import.clients.services import GroupSize
from face_import.domain.likeness import SAME_PERSON
from face_import.domain.limits import check_group_name
from face_import.domain.recurring import Entry, read_entries
from face_import.errors import Busy, ConfigError, InvalidRequest
from face_import.settings import Settings

MOST_BOXES = 50
"""Faces that are drawn of a picture with many."""


@blueprint.get("/groups/<path:group>")
def show_group(group: str) -> str:
    """What is known of a group."""
    _check(group)
    return _page(group, **_result(group))


@blueprint.post("/groups/<path:group>")
@takes_picture
def search_group(group: str) -> tuple[str, int]:
    """Search the group for the person in a picture, which is kept nowhere."""
    _check(group)
    searched, problem = None, None
    try:
        searched = search(app_context().settings, group, _picture())
    except NoAnswer as error:
        problem = error
    result = _result(group, searched, problem)
    page = render_template("group_found.html", **result) if by_htmx() else _page(group, **result)
    return page, problem.status if problem else 200


def _check(group: str) -> None:
    """Check that there may be such a group, and that the key has access to it."""
    auditing.about(group=group)
    access.check_group(group)
    try:
        check_group_name(group, app_context().settings)
    except InvalidRequest as error:
        abort(404, str(error))


def _picture() -> bytes:
    """The picture that was sent."""
    try:
        file = request.files.get("picture")
    except RequestEntityTooLarge:
        raise TooLarge(app_context().settings) from None
    data: bytes = file.read() if file else b""
    if not data:
        raise NoAnswer(gettext("Choose a picture."))
    return data


def _result(group: str, searched: Searched | None = None, problem: NoAnswer | None = None) -> dict[str, Any]:
    """What a search has found, or why it has not, for group_found.html; neither without a search."""
    return {
        "searched": searched,
        "problem": problem,
        "origins": _record(group).origins([match.face_id for match in searched.matches]) if searched else {},
        "threshold": SAME_PERSON,
        "most_boxes": MOST_BOXES,
    }


def _record(group: str) -> GroupRecord:
    return GroupRecord(app_context().catalogue.engine, group)


def _page(group: str, **result: Any) -> str:
    """The page with the result of a search, if there is one."""
    size, unknown = _size(group)
    imports, entries = _record(group).imports(), _entries(group)
    if isinstance(unknown, NoGroup) and not imports.total and not entries:
        abort(404, f"there is no group {group!r}")
    return render_template(
        "group.html",
        group=group,
        size=size,
        unknown=unknown,
        imports=imports,
        entries=entries,
        airflow=app_context().settings.airflow_pages,
        **result,
    )


def _size(group: str) -> tuple[GroupSize | None, NoAnswer | None]:
    """How large the group is, or why that is not known; neither if the library does not say such things."""
    try:
        SIZES.take()
        return size_of(app_context().settings, group), None
    except Busy:
        return None, NoAnswer(gettext("The face library is asked by many others at the moment."), status=503)
    except NoAnswer as error:
        return None, error if error.status in {404, 503} else None


def _entries(group: str) -> list[Entry]:
    """The group's recurring imports, as far as their file is on this machine and can be read."""
    settings = app_context().settings
    path = settings.recurring_imports
    try:
        status = path.stat()
        entries = _read(path, (status.st_mtime_ns, status.st_size, status.st_ino), settings)
    except (OSError, UnicodeDecodeError, ConfigError):
        return []
    return [entry for entry in entries if entry.group == group]


@lru_cache(maxsize=1)
def _read(path: Path, _version: tuple[int, ...], settings: Settings) -> tuple[Entry, ...]:
    """The valid entries; read again when the file has changed."""
    return read_entries(path.read_text(encoding="utf-8"), settings).entries
