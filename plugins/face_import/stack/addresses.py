"""The addresses a running stack was started with, for commands that were not told them."""

import json

from face_import.settings import Settings
from face_import.stack.credentials import write_private
from face_import.stack.layout import Layout

_NOTED = {"bind", "port", "airflow_port", "services_port", "info_url", "library_url", "broker_url", "workers"}


def note_addresses(settings: Settings, layout: Layout) -> None:
    """Write down where the stack that starts now can be reached."""
    write_private(layout.run / "addresses.json", settings.model_dump_json(include=_NOTED))


def recall_addresses(settings: Settings, layout: Layout) -> Settings:
    """The settings with the addresses of the stack that runs."""
    try:
        noted = json.loads((layout.run / "addresses.json").read_text())
    except (OSError, ValueError):
        return settings
    return settings.model_copy(update={name: value for name, value in noted.items() if name in _NOTED})
