"""Airflow's log files on a full disk: what cannot be written is left out.

Airflow lets the error through. It would end the process that watches over a task instance, and with it the try.
"""

import os
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import BinaryIO

import structlog
from airflow.sdk import log as airflow_log

_open_log_file = airflow_log.init_log_file


class EnduringLogger(structlog.BytesLogger):
    """Writes lines without a buffer: a line left over in one would fail when the file is closed."""

    def __init__(self, file: BinaryIO | None = None, *, name: str | None = None) -> None:
        super().__init__(getattr(file, "raw", file), name=name)

    def msg(self, message: bytes) -> None:
        """Write a line, or leave it out."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


@wraps(_open_log_file)
def log_file_or_none(local_relative_path: str) -> Path:
    """The log file, or /dev/null if it cannot be created."""
    path = _open_log_file(local_relative_path)
    return path if path.exists() else Path(os.devnull)


def endure_full_disks() -> None:
    """Replace what Airflow's processes write their log files with; for `airflow_local_settings`."""
    structlog.BytesLogger = EnduringLogger  # type: ignore[misc]
    airflow_log.init_log_file = log_file_or_none
