"""The web console: pages for people over the same functions that the API's endpoints call."""

from datetime import timedelta

from flask import Flask, Response, request

import api_shim
from api_shim import proxy, sessions
from api_shim.access import LoginNeeded, is_scoped
from face_console import language, texts, view
from face_console.audit import show_audit as _audit  # noqa: F401 - the modules register their pages on the blueprint
from face_console.charts import Rates
from face_console.columns import cell
from face_console.create import create as _create  # noqa: F401
from face_console.group import show_group as _group  # noqa: F401
from face_console.limits import show_limits as _limits  # noqa: F401
from face_console.login import to_login
from face_console.messages import translated
from face_console.reference import reference as _reference  # noqa: F401
from face_console.rows import show_rows as _rows  # noqa: F401
from face_console.task import show as _task  # noqa: F401
from face_console.tasks import index as _tasks  # noqa: F401
from face_import import __version__
from face_import.contract import MEANINGS, Code, Mode, TaskState
from face_import.domain.guard import GUARD
from face_import.domain.models import FAILURE_POLICY, LIMITS, SCOPE
from face_import.settings import Settings, get_settings

__all__ = ["create_app"]


def create_app(settings: Settings | None = None) -> Flask:
    """Create the API with the console's pages at `/`; `gunicorn 'face_console:create_app()'` serves it.

    All pages are in one blueprint, whose `before_request` checks the CSRF token of forms.

    Args:
        settings: the settings; by default, those of the environment.

    Raises:
        ConfigError: a setting is invalid, or would expose the API without keys.
    """
    settings = settings or get_settings()
    app = api_shim.create_app(settings)
    app.extensions["face_import_rates"] = Rates()
    app.extensions["face_import_error_page"] = view.error_page
    environment = app.jinja_env
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # the extension adds it
        language.gettext, lambda one, many, count: language.gettext(one if count == 1 else many), newstyle=True
    )
    environment.filters |= {
        "number": language.number,
        "duration": language.duration,
        "when": view.when,
        "shown_uri": view.shown_uri,
        "cell": cell,
        "translated": translated,
    }
    environment.globals |= {
        "GUARD": GUARD,
        "OPTIONS": FAILURE_POLICY | SCOPE,
        "LIMITS": LIMITS,
        "MEANINGS": MEANINGS,
        "Code": Code,
        "Mode": Mode,
        "TaskState": TaskState,
        "texts": texts,
        "languages": language.LANGUAGES,
        "language": language.language,
        "percent": language.percent,
        "embedded": view.embedded,
        "here": view.here,
        "link": view.link,
        "csrf_token": sessions.token,
        "csrf_header": sessions.TOKEN_HEADER,
        "token": view.token,
        "logged_in": sessions.key_id,
        "is_scoped": is_scoped,
        "login_hours": sessions.LIFETIME // timedelta(hours=1),
        "version": __version__,
    }
    app.register_blueprint(view.blueprint)
    app.register_error_handler(LoginNeeded, to_login)
    _register_headers(app, settings)
    proxy.refuse_own_path(app, settings)
    return app


def _register_headers(app: Flask, settings: Settings) -> None:
    """Let pages load only our own files, and only Airflow frame them."""
    frames = " ".join(view.airflow_origins(settings.airflow_pages))
    policy = f"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors {frames}"

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if not request.path.startswith("/v1/"):
            response.headers["Content-Security-Policy"] = policy
        if response.mimetype == "text/html":
            response.headers["Cache-Control"] = "no-store"
        return response
