"""What the endpoints work with, opened once per process."""

from dataclasses import dataclass
from typing import Self, cast

from flask import current_app

from face_import.catalogue import Catalogue, get_catalogue
from face_import.clients.airflow import Airflow
from face_import.control import Control
from face_import.settings import Settings
from face_import.sources.storage import Storage


@dataclass(frozen=True, slots=True)
class Services:
    """Catalogue, storage and run control of one application."""

    settings: Settings
    catalogue: Catalogue
    storage: Storage
    control: Control

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open everything; connections are made when they are needed."""
        catalogue = get_catalogue()
        return cls(settings, catalogue, Storage.of(settings), Control(settings, catalogue, Airflow(settings)))


def services() -> Services:
    """The services of the application that handles the current request."""
    return cast("Services", current_app.extensions["face_import"])
