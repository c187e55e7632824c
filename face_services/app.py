"""The Flask application: one of the two services, or both under one port."""

import logging
from collections.abc import Sequence

from flask import Flask, Response, jsonify, request
from gunicorn.errors import AppImportError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from face_services import info, library, runner, seen, settings
from face_services.engine import Engine
from face_services.errors import OtherEngine, Passing, ServiceError
from face_services.runner import EngineRunner, MakeEngine, MakePool, process_pool
from face_services.search import SearchIndex
from face_services.settings import Settings
from face_services.store import Store
from face_services.wire import discard_body

SERVICES = ("info", "library")

_log = logging.getLogger(__name__)


def create_app(
    services: Sequence[str] = SERVICES,
    config: Settings | None = None,
    make_engine: MakeEngine | None = None,
    make_pool: MakePool = process_pool,
) -> Flask:
    """Creates the application; `GET /healthz` uses neither an engine nor the database.

    Args:
        services: which of `info` and `library` to serve.
        config: by default, read from the environment.
        make_engine: a module's function, by default one that makes an `OpenCvEngine`; called in the engine's process.
        make_pool: makes the executor that engines work in.

    Raises:
        SettingsError: an environment variable cannot be used.
        AppImportError: the library is another engine's.
        ValueError: a service of another name.
    """
    if unknown := set(services) - set(SERVICES):
        raise ValueError(f"no such service: {', '.join(sorted(unknown))}")
    config = config or Settings.from_environment()
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = config.max_body
    app.extensions[settings.EXTENSION] = config
    engines = EngineRunner(make_engine or _opencv, config.engines, config.queue, make_pool)
    app.extensions[runner.EXTENSION] = engines
    app.extensions[seen.EXTENSION] = seen.Memory()
    if "info" in services:
        app.register_blueprint(info.blueprint)
    if "library" in services:
        try:
            _register_library(app, Store(config.database))
        except OtherEngine as error:
            raise AppImportError(str(error)) from None  # which gunicorn prints without a traceback, and ends
    app.add_url_rule("/healthz", view_func=healthz)
    _register_errors(app)
    engines.warm_up()
    return app


def healthz() -> dict[str, str]:
    """Liveness: the process answers."""
    return {"status": "ok"}


def _register_library(app: Flask, store: Store) -> None:
    app.extensions[library.EXTENSION] = library.Library(store, SearchIndex(store))
    app.register_blueprint(library.blueprint)


def _opencv() -> Engine:
    from face_services.opencv_engine import OpenCvEngine  # noqa: PLC0415 - for the engines' processes only

    return OpenCvEngine()


def _register_errors(app: Flask) -> None:
    app.register_error_handler(ServiceError, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(OperationalError, _storage_away)
    app.register_error_handler(Exception, _unexpected)


def _refused(error: ServiceError) -> Response:
    return _failure(error.status, str(error), come_again=isinstance(error, Passing))


def _http(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        return _failure(413, f"body is larger than {settings.current_settings().max_body} bytes")
    return _failure(error.code or 500, error.description or error.name)


def _storage_away(error: OperationalError) -> Response:
    """A locked database or a full disk is transient: the client should retry."""
    _log.error("storage failed path=%s error=%s", request.path, error.orig)
    return _failure(503, "the library's storage is unavailable", come_again=True)


def _unexpected(error: Exception) -> Response:
    _log.error("request failed path=%s", request.path, exc_info=error)
    return _failure(500, "internal error")


def _failure(status: int, text: str, *, come_again: bool = False) -> Response:
    """An error in the format of the service; for a URL of neither service, in both formats."""
    discard_body()
    forms = {"info": {"code": status, "message": text}, "library": {"error": text}}
    response = jsonify(forms.get(request.blueprint or "", {**forms["info"], **forms["library"]}))
    response.status_code = status
    if come_again:
        response.headers["Retry-After"] = str(Passing.retry_after_seconds)
    return response
