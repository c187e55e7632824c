"""Gunicorn's settings: `python -m gunicorn -c python:face_services.gunicorn_conf 'face_services.app:create_app()'`."""

from face_services.errors import SettingsError
from face_services.settings import Settings

try:
    _settings = Settings.from_environment()
except SettingsError as error:
    raise SystemExit(f"face services: {error}") from None

worker_class = "gthread"
# One process, for the search index and the queue live in it; its engines have processes of their own.
workers = 1
# More threads than there are places: whoever finds no place is told so at once, and /healthz always answers.
threads = _settings.engines + _settings.queue + 4
# Connections beyond these may idle between two requests.
worker_connections = threads + 1000
timeout = 120
graceful_timeout = 10
keepalive = 30
