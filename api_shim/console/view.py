"""What all pages share: the blueprint, links that stay inside a frame, times, and the task of an address."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, request, url_for
from markupsafe import Markup

from api_shim.console.language import COOKIE, LANGUAGES
from api_shim.services import services
from face_import.catalogue import ImportTask
from face_import.domain.identity import is_task_id
from face_import.errors import TaskNotFound

blueprint = Blueprint(
    "console", __name__, template_folder="templates", static_folder="static", static_url_path="/console/static"
)
YEAR_S = 365 * 86400


def embedded() -> bool:
    """Whether the page is shown in a frame of Airflow's, without our navigation."""
    return request.args.get("embed") == "1"


def link(endpoint: str, **values: Any) -> str:
    """Address of a page; a page in a frame leads to pages for that frame."""
    return url_for(f"console.{endpoint}", **values, embed=1 if embedded() else None)


def when(time: float | None, *, seconds: bool = False) -> Markup:
    """A time (seconds since the epoch) in UTC; the browser turns it into the reader's own (console.js)."""
    if time is None:
        return Markup("–")
    moment = datetime.fromtimestamp(time, UTC)
    shown = Markup('<time datetime="{}"{}>{} UTC</time>')
    mark, style = (Markup(" data-seconds"), "%Y-%m-%d %H:%M:%S") if seconds else ("", "%Y-%m-%d %H:%M")
    return shown.format(moment.isoformat(timespec="seconds"), mark, moment.strftime(style))


def task_of(task_id: str) -> ImportTask:
    """The task of an address.

    Raises:
        TaskNotFound: there is none.
    """
    if not is_task_id(task_id):
        raise TaskNotFound(f"there is no task {task_id[:40]!r}")
    return services().catalogue.tasks.get(task_id)


def by_htmx() -> bool:
    """Whether a part of a page is asked for, by a page that is there already."""
    return request.headers.get("HX-Request") == "true"


def moved(address: str) -> Response:
    """Lead the browser to another page."""
    if by_htmx():
        return Response(status=204, headers={"HX-Redirect": address})
    return redirect(address, 303)  # type: ignore[return-value]  # Flask's is a subclass of Werkzeug's


def airflow_origins(url: str) -> list[str]:
    """Where Airflow's own pages come from, under both names of this machine."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    here, name = "//127.0.0.1", "//localhost"
    return sorted({origin, origin.replace(here, name), origin.replace(name, here)})


@blueprint.post("/language")
def choose_language() -> Response:
    """Keep the language that was chosen, and go back to the page."""
    back = request.form.get("next", "/")
    parts = urlsplit(back.replace("\\", "/"))
    local = back.startswith("/") and not parts.netloc and not parts.scheme
    response = moved(back if local else "/")
    chosen = request.form.get("language", "")
    if chosen in LANGUAGES:
        response.set_cookie(COOKIE, chosen, max_age=YEAR_S, samesite="Lax", httponly=True)
    return response
