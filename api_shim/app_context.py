"""What the endpoints work with, opened once per process."""

import time
from dataclasses import dataclass, field
from typing import Self, cast

from flask import current_app
from prometheus_client import Histogram

from face_import.catalogue import Catalogue, get_catalogue
from face_import.clients.airflow import Airflow
from face_import.control import Control
from face_import.settings import Settings
from face_import.sources.storage import Storage

STOP_BUCKETS_S = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


def _stops() -> Histogram:
    text = "Time from the request to stop an import until no further row of it starts"
    return Histogram("face_import_stop_seconds", text, registry=None, buckets=STOP_BUCKETS_S)


@dataclass(frozen=True, slots=True)
class Services:
    """Catalogue, storage and run control of one application.

    Attributes:
        stops: how long stops took, since this process began.
    """

    settings: Settings
    catalogue: Catalogue
    storage: Storage
    control: Control
    stops: Histogram = field(default_factory=_stops)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open everything; connections are made when they are needed."""
        catalogue = get_catalogue()
        return cls(settings, catalogue, Storage.of(settings), Control(settings, catalogue, Airflow(settings)))

    def stop(self, task_id: str) -> None:
        """Stop a task as `Control.stop` does, and note how long that took."""
        began = time.monotonic()
        self.control.stop(task_id)
        self.stops.observe(time.monotonic() - began)


def services() -> Services:
    """The services of the application that handles the current request."""
    return cast("Services", current_app.extensions["face_import"])
