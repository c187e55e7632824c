"""The `/v1/tasks` HTTP API: a thin Flask application over the catalogue and Airflow's REST API."""

from flask import Flask, Response, jsonify

from api_shim import access, auditing, errors, events, guards, monitoring, proxy, results, slots, tasks, timing, uploads
from api_shim.app_context import AppContext
from api_shim.documentation import documentation
from api_shim.openapi import document
from face_import import logs
from face_import.settings import Settings, get_settings

__all__ = ["create_app"]


def create_app(settings: Settings | None = None) -> Flask:
    """Create the application: the API without pages, which `face_console.create_app` adds.

    Args:
        settings: the settings; by default, those of the environment.

    Raises:
        ConfigError: a setting is invalid, or would expose the API without keys.
    """
    settings = settings or get_settings()
    logs.configure(settings.log_level, settings.log_format)
    guards.refuse_open_bind(settings)
    app = Flask(__name__, static_folder=None)
    app.request_class = uploads.request_class(settings.home / "tmp")
    app.json.sort_keys = False  # type: ignore[attr-defined]
    timing.register(app)
    auditing.register(app, settings)
    slots.register(app)
    uploads.register(app, settings)
    app.extensions["face_import"] = AppContext.open(settings)
    guards.register(app, settings)
    access.register(app, settings)
    errors.register(app)
    app.register_blueprint(tasks.blueprint)
    app.register_blueprint(results.blueprint)
    app.register_blueprint(events.blueprint)
    app.register_blueprint(monitoring.blueprint)
    documentation.app = app
    proxy.register(app, settings)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document(settings))

    proxy.refuse_own_path(app, settings)
    return app
