"""The `/v1/tasks` HTTP API: a thin Flask application over the catalogue and Airflow's REST API."""

from flask import Flask, Response, jsonify

from api_shim import access, errors, guards, monitoring, slots, tasks, uploads
from api_shim.app_context import AppContext
from api_shim.documentation import document, documentation
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
    logs.configure(settings.log_level)
    guards.refuse_open_bind(settings)
    app = Flask(__name__, static_folder=None)
    app.request_class = uploads.request_class(settings.home / "tmp")
    app.json.sort_keys = False  # type: ignore[attr-defined]
    slots.register(app)
    uploads.register(app, settings.max_source_bytes)
    app.extensions["face_import"] = AppContext.open(settings)
    guards.register(app, settings)
    access.register(app, settings)
    errors.register(app)
    app.register_blueprint(tasks.blueprint)
    app.register_blueprint(monitoring.blueprint)
    documentation.app = app

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document(settings))

    return app
