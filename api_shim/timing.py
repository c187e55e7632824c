"""Times requests, by endpoint and kind of status."""

import time
from collections.abc import Iterable, Iterator

from flask import Flask, Response, current_app, g, request
from prometheus_client import Histogram

from api_shim.app_context import app_context

STATUSES = ("2xx", "4xx", "5xx")
_BY_NAME = ("tasks.", "results.", "events.", "monitoring.")


def register(app: Flask) -> None:
    """Measure every request; before all other handlers, whose time counts and whose refusals do too."""

    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()

    @app.after_request
    def observe(response: Response) -> Response:
        status = f"{response.status_code // 100}xx"
        app_context().requests.labels(_label(request.endpoint), status).observe(time.monotonic() - g.began)
        return response


def with_all_labels(requests: Histogram) -> Histogram:
    """The histogram with every endpoint at 0 at least: what appears with its first error has no increase before it."""
    for endpoint in _labels(rule.endpoint for rule in current_app.url_map.iter_rules()):
        for status in STATUSES:
            requests.labels(endpoint, status)
    return requests


def _labels(endpoints: Iterable[str]) -> Iterator[str]:
    yield from {_label(endpoint) for endpoint in endpoints} | {_label(None)}


def _label(endpoint: str | None) -> str:
    """The name of an endpoint of the API; all pages of the console, and all other paths, are one each."""
    if endpoint is None:
        return "other"
    if endpoint.startswith(_BY_NAME) or "." not in endpoint:
        return endpoint.rpartition(".")[2].removesuffix("_tasks")
    return endpoint.partition(".")[0]
