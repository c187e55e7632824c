"""Logging of our own processes: one line per event, with time, level and logger, and ids as key=value."""

import logging
from contextvars import ContextVar

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_ids: ContextVar[dict[str, object] | None] = ContextVar("ids", default=None)


def configure(level: str = "INFO") -> None:
    """Log to stderr; a process whose logging is already configured (Airflow, gunicorn) is unchanged.

    Args:
        level: lowest level of our own lines. Libraries always log from INFO: at DEBUG, urllib3 logs URLs with the
            secrets in their queries.
    """
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for package in ("face_import", "api_shim", "face_console"):
        logging.getLogger(package).setLevel(level)


def about(**ids: object) -> None:
    """Set ids (task, shard, row) for the log lines of the current asyncio task and those that it creates."""
    _ids.set({**(_ids.get() or {}), **ids})


def ids() -> str:
    """These ids for a log line: `task=En14GRbIt7tn shard=3 row=1702`."""
    return " ".join(f"{name}={value}" for name, value in (_ids.get() or {}).items())
