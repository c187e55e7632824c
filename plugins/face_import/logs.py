"""How our own processes log: one line an event, with time, level and logger; what it is about as key=value."""

import logging
from contextvars import ContextVar

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_ids: ContextVar[dict[str, object] | None] = ContextVar("ids", default=None)


def configure(level: str = "INFO") -> None:
    """Log to stderr; a process that logs already stays as it is (Airflow's, gunicorn's).

    Args:
        level: from which our own lines are shown. Libraries' are from INFO on at any level: at DEBUG, urllib3 logs URLs
            with the secrets in their queries.
    """
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for package in ("face_import", "api_shim", "face_console"):
        logging.getLogger(package).setLevel(level)


def about(**ids: object) -> None:
    """Note what the current asyncio task, and those that it makes, are about: task, shard, row."""
    _ids.set({**(_ids.get() or {}), **ids})


def ids() -> str:
    """The same for a line of the log: `task=En14GRbIt7tn shard=3 row=1702`."""
    return " ".join(f"{name}={value}" for name, value in (_ids.get() or {}).items())
