"""Logging of our own processes: one line per event, with time, level and logger, and ids as key=value."""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
JSON = "json"
_PLACE = re.compile(r"%(?P<percent>%)|(?:(?P<name>[a-z_]+)=)?%[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]")
_ids: ContextVar[dict[str, object] | None] = ContextVar("ids", default=None)


def configure(level: str = "INFO", line_format: str = "text") -> None:
    """Log to stderr; a process whose logging is already configured (Airflow, gunicorn) is unchanged.

    Args:
        level: lowest level of our own lines. Libraries always log from INFO: at DEBUG, urllib3 logs URLs with the
            secrets in their queries.
        line_format: `text`, or `json` for an object per line.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(line_format) or logging.Formatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for package in ("face_import", "api_shim", "face_console"):
        logging.getLogger(package).setLevel(level)


def formatter(line_format: str) -> logging.Formatter | None:
    """What makes lines of this format; None for `text`, for which each process has its own."""
    return JsonFormatter() if line_format == JSON else None


class JsonFormatter(logging.Formatter):
    """A JSON object per record: time (ISO 8601, UTC), level, logger, message, its key=value pairs, any traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in _pairs(record) if name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _pairs(record: logging.LogRecord) -> list[tuple[str, object]]:
    """The values behind each `name=%s` of a record's message."""
    if not isinstance(record.args, tuple) or not isinstance(record.msg, str):
        return []
    places = [place for place in _PLACE.finditer(record.msg) if not place["percent"]]
    return [(place["name"], value) for place, value in zip(places, record.args, strict=False) if place["name"]]


def about(**ids: object) -> None:
    """Set ids (task, shard, row) for the log lines of the current asyncio task and those that it creates."""
    _ids.set({**(_ids.get() or {}), **ids})


def ids() -> str:
    """These ids for a log line: `task=En14GRbIt7tn shard=3 row=1702`."""
    return " ".join(f"{name}={value}" for name, value in (_ids.get() or {}).items())
