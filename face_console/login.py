"""Logging in to the console with an API key, and logging out."""

from urllib.parse import urlsplit

from flask import Response, make_response, render_template, request

from api_shim import access, sessions
from api_shim.access import LoginNeeded, TooMany
from face_console.language import gettext
from face_console.view import blueprint, by_htmx, here, link, local, moved


@blueprint.get("/login")
@access.before_login
def log_in() -> str | Response:
    """The login form; redirects to the console if no key is needed."""
    if access.keys_in_use() is None:
        return moved(link("index"))
    return render_template("login.html", problem="", back=local(request.args.get("next", "")))


@blueprint.post("/login")
@access.before_login
def try_log_in() -> Response:
    """Start a session and redirect to the requested page."""
    keys = access.keys_in_use()
    back = local(request.form.get("next", ""))
    try:
        if keys is None or keys.log_in(request.form.get("key", "").strip()):
            return moved(back)
    except TooMany as error:
        problem = gettext("Too many failed logins. Wait a minute, then try again.")
        return _refused(problem, back, error.status, error.headers["Retry-After"])
    return _refused(gettext("Invalid or revoked key."), back, 401)


@blueprint.post("/logout")
def log_out() -> Response:
    """End the session."""
    sessions.end()
    return moved(link("log_in"))


def to_login(_error: LoginNeeded) -> Response:
    """Redirect to the login, and from there back to the current page."""
    back = here()
    if by_htmx():
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
        back = page.path + (f"?{page.query}" if page.query else "")
    return moved(link("log_in", next=local(back)))


def _refused(problem: str, back: str, status: int, wait: str = "") -> Response:
    response = make_response(render_template("login.html", problem=problem, back=back), status)
    if wait:
        response.headers["Retry-After"] = wait
    return response
