"""What all pages share: the blueprint, the check of forms, links that keep the embedded view, and times."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from markupsafe import Markup

from api_shim import access, sessions
from face_console.language import COOKIE, LANGUAGES
from face_import.domain.uri import display, redact, scheme_of

blueprint = Blueprint(
    "console", __name__, template_folder="templates", static_folder="static", static_url_path="/console/static"
)
YEAR_S = 365 * 86400


@blueprint.before_request
def check_form() -> None:
    """Accept changes only from our own pages, and only of tasks that the key has access to.

    A request with a key in its header needs no token: no browser adds that header by itself.
    """
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    if not g.get("by_header", False):
        sessions.check_token()
    if "task_id" in (request.view_args or {}):
        g.task = access.load_task(request.view_args["task_id"])  # type: ignore[index]  # checked above


def embedded() -> bool:
    """Whether the page is embedded in Airflow, without our navigation."""
    return request.args.get("embed") == "1"


def link(endpoint: str, **values: Any) -> str:
    """URL of a page; embedded pages link to embedded pages."""
    return url_for(f"console.{endpoint}", **values, embed=1 if embedded() else None)


def here() -> str:
    """Address of the current page; of one that was not asked for by GET, the list's."""
    return (
        f"{request.script_root}{request.full_path.rstrip('?')}" if request.method == "GET" else url_for("console.index")
    )


def when(time: float | None, *, seconds: bool = False) -> Markup:
    """A time (seconds since the epoch) in UTC; console.js converts it to the reader's time zone."""
    if time is None:
        return Markup("–")
    moment = datetime.fromtimestamp(time, UTC)
    shown = Markup('<time datetime="{}"{}>{} UTC</time>')
    mark, style = (Markup(" data-seconds"), "%Y-%m-%d %H:%M:%S") if seconds else ("", "%Y-%m-%d %H:%M")
    return shown.format(moment.isoformat(timespec="seconds"), mark, moment.strftime(style))


def shown_uri(uri: str) -> str:
    """A row's URI as pages show it: without image data and without the secrets of signed URLs."""
    return display(uri) if scheme_of(uri) == "data" else redact(uri)


def by_htmx() -> bool:
    """Whether the request comes from htmx and asks for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def error_page(**error: object) -> str:
    """An error as a page, or for htmx as a notice in the part that it asked for."""
    return render_template("problem.html" if by_htmx() else "error.html", **error)


def moved(address: str) -> Response:
    """Redirect to another page."""
    if by_htmx():
        return Response(status=204, headers={"HX-Redirect": address})
    return redirect(address, 303)  # type: ignore[return-value]  # Flask's is a subclass of Werkzeug's


def token() -> Markup:
    """The hidden CSRF field that every form needs; htmx sends the token as a header (base.html)."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(sessions.TOKEN_FIELD, sessions.token())


def local(address: str) -> str:
    """The address if it is local, else that of the list."""
    try:
        parts = urlsplit(address.replace("\\", "/"))
    except ValueError:
        return url_for("console.index")
    is_local = address.startswith("/") and not parts.netloc and not parts.scheme
    return address if is_local else url_for("console.index")


def airflow_origins(url: str) -> list[str]:
    """Origins of Airflow's pages, under both names of this machine."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    here, name = "//127.0.0.1", "//localhost"
    return sorted({origin, origin.replace(here, name), origin.replace(name, here)})


@blueprint.post("/language")
@access.before_login
def choose_language() -> Response:
    """Remember the chosen language and return to the page."""
    response = moved(local(request.form.get("next", "")))
    chosen = request.form.get("language", "")
    if chosen in LANGUAGES:
        response.set_cookie(
            COOKIE, chosen, max_age=YEAR_S, path=request.script_root or "/", samesite="Lax", httponly=True
        )
    return response
