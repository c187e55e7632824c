"""The services' settings, read once from `FACE_SERVICES_*` environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from pathlib import Path

from flask import current_app

from face_services.errors import SettingsError

EXTENSION = "face_services.settings"


@dataclass(frozen=True)
class Settings:
    """Settings of the face services.

    Attributes:
        database: path of the library's SQLite file; its folder is made when missing.
        max_body: largest request body in bytes.
        max_pixels: largest picture in pixels, checked before it is decoded.
        engines: engines, a process each, which takes about 150 MB.
        queue: requests that may wait for an engine before others are answered 503.
    """

    database: Path = Path("library.db")
    max_body: int = 32 * 1024 * 1024
    max_pixels: int = 50_000_000
    engines: int = 2
    queue: int = 128

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings; an absent or empty variable means the default.

        Raises:
            SettingsError: a number is not a whole number within its bounds.
        """
        env = os.environ if environ is None else environ
        return cls(
            database=Path(env.get("FACE_SERVICES_DATABASE") or cls.database),
            max_body=_whole_number(env, "FACE_SERVICES_MAX_BODY", cls.max_body, 1024, 2**31),
            max_pixels=_whole_number(env, "FACE_SERVICES_MAX_PIXELS", cls.max_pixels, 1024, 2**30),
            engines=_whole_number(env, "FACE_SERVICES_ENGINES", cls.engines, 1, 64),
            queue=_whole_number(env, "FACE_SERVICES_QUEUE", cls.queue, 0, 10_000),
        )


def _whole_number(env: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not (number.is_integer() and lowest <= number <= highest):
        raise SettingsError(f"{name} must be a whole number from {lowest} to {highest}, not {text!r}")
    return int(number)


def current_settings() -> Settings:
    """The application's settings; only inside a request."""
    settings: Settings = current_app.extensions[EXTENSION]
    return settings
