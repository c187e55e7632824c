"""Gunicorn's settings: `python -m gunicorn -c python:face_services.gunicorn_conf 'face_services.app:create_app()'`."""

from typing import Any

from face_import.lifetime import end_with_parent
from face_services.errors import SettingsError
from face_services.settings import Settings

try:
    _settings = Settings.from_environment()
except SettingsError as error:
    raise SystemExit(f"face services: {error}") from None

worker_class = "gthread"
# One process, since it holds the search index and the queue; its engines have their own processes.
workers = 1
# More threads than queue slots, so that requests beyond the queue are rejected at once, and /healthz always answers.
threads = _settings.engines + _settings.queue + 4
# Further connections may idle between two requests.
worker_connections = threads + 1000
timeout = 120
graceful_timeout = 10
keepalive = 30


def post_fork(_server: Any, _worker: Any) -> None:
    """Called by gunicorn in each new worker."""
    end_with_parent()
