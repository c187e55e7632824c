"""Gunicorn's logger, for `--logger-class`: its lines and those of the application have the format of the setting.

It is made before the application, and also for the face services, which have no access to `face_import.settings`.
"""

import os

from gunicorn.config import Config
from gunicorn.glogging import Logger as GunicornLogger

from face_import import logs

VARIABLE = "FACE_IMPORT_LOG_FORMAT"


class Logger(GunicornLogger):  # type: ignore[misc]  # gunicorn ships no types
    """Writes gunicorn's own lines, such as that a worker was started."""

    def setup(self, cfg: Config) -> None:
        """Set up gunicorn's logging and that of the application."""
        super().setup(cfg)
        line_format = os.environ.get(VARIABLE, "").lower()
        logs.configure(line_format=line_format)
        if formatter := logs.formatter(line_format):
            for handler in self.error_log.handlers:
                handler.setFormatter(formatter)
