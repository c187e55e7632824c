"""What the endpoints share, opened once per process."""

import time
from dataclasses import dataclass, field
from typing import Self, cast

from flask import current_app
from prometheus_client import Histogram

from api_shim.feed import Feed
from api_shim.notices import Notices
from api_shim.reach import AirflowReach
from face_import.catalogue import Catalogue, get_catalogue
from face_import.clients.airflow import Airflow
from face_import.control import Control
from face_import.settings import Settings
from face_import.sources.storage import Storage

REQUEST_BUCKETS_S = (0.05, 0.25, 1.0, 5.0, 30.0)
STOP_BUCKETS_S = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


def _stops() -> Histogram:
    text = "Time from the request to stop an import until no further row of it starts"
    return Histogram("face_import_stop_seconds", text, registry=None, buckets=STOP_BUCKETS_S)


def _requests() -> Histogram:
    text = "Time from the head of a request until its response begins, by endpoint and kind of status"
    labels = ["endpoint", "status"]
    return Histogram("face_import_request_seconds", text, labels, registry=None, buckets=REQUEST_BUCKETS_S)


@dataclass(frozen=True, slots=True)
class AppContext:
    """What the endpoints of one application work with.

    Attributes:
        stops: durations of stops since this process started.
        requests: durations of requests, likewise.
    """

    settings: Settings
    catalogue: Catalogue
    storage: Storage
    control: Control
    notices: Notices
    reach: AirflowReach
    feed: Feed
    stops: Histogram = field(default_factory=_stops)
    requests: Histogram = field(default_factory=_requests)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open everything; connections are made on demand."""
        catalogue, airflow = get_catalogue(), Airflow(settings)
        return cls(
            settings,
            catalogue,
            Storage.of(settings),
            Control(settings, catalogue, airflow),
            Notices(settings, catalogue.engine),
            AirflowReach(airflow),
            Feed(catalogue),
        )

    def stop(self, task_id: str) -> None:
        """Stop a task as `Control.stop` does, and record how long it took."""
        began = time.monotonic()
        self.control.stop(task_id)
        self.stops.observe(time.monotonic() - began)


def app_context() -> AppContext:
    """The context of the application that handles the current request."""
    return cast("AppContext", current_app.extensions["face_import"])
