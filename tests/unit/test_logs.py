"""From which level our processes log."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from gunicorn.config import Config

from face_import import gunicorn_logs, logs
from face_import.errors import ConfigError
from face_import.settings import Settings, get_settings

OURS = ("face_import", "api_shim", "face_console")


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    """The levels are the process's: they become again what they were."""
    loggers = [logging.getLogger(name) for name in ("", "alembic", *OURS)]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", logging.DEBUG), ("WARNING", logging.WARNING)])
def test_the_level_is_that_of_our_own_lines(level: str, shown: int) -> None:
    """A library's DEBUG stays out at any level: it could show the secrets of a URL."""
    logs.configure(level)
    assert [logging.getLogger(f"{name}.part").getEffectiveLevel() for name in OURS] == [shown] * 3
    assert logging.getLogger("urllib3.connectionpool").getEffectiveLevel() >= logging.INFO


def test_the_level_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """In capitals or not; one that does not exist is said with those that do."""
    monkeypatch.setenv("FACE_IMPORT_LOG_LEVEL", "debug")
    assert Settings().log_level == "DEBUG"
    monkeypatch.setenv("FACE_IMPORT_LOG_LEVEL", "loud")
    get_settings.cache_clear()
    with pytest.raises(ConfigError, match="FACE_IMPORT_LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERR"):
        get_settings()
    get_settings.cache_clear()
    monkeypatch.delenv("FACE_IMPORT_LOG_LEVEL")
    assert Settings().log_level == "INFO"


def record(message: str, *args: object, error: Exception | None = None) -> logging.LogRecord:
    """A record as a call of a logger makes it."""
    exc_info = (type(error), error, None) if error else None
    return logging.LogRecord("face_import.keeper", logging.WARNING, "keeper.py", 1, message, args, exc_info)


def as_json(*args: object, **more: object) -> dict[str, object]:
    """What a JSON line of a record says, which is one line."""
    line = logs.JsonFormatter().format(record(*args, **more))  # type: ignore[arg-type]
    assert "\n" not in line
    found: dict[str, object] = json.loads(line)
    return found


def test_a_json_line_has_the_pairs_of_its_message() -> None:
    """Each by its name, whatever else is filled in, and none that would hide time, level, logger or message."""
    found = as_json("%s %d%% task=%s rows=%d level=%s", "pausing", 5, "En14GRbIt7tn", 12, "x")
    assert str(found.pop("time")).endswith("+00:00")
    assert found == {
        "level": "warning",
        "logger": "face_import.keeper",
        "message": "pausing 5% task=En14GRbIt7tn rows=12 level=x",
        "task": "En14GRbIt7tn",
        "rows": 12,
    }


def test_a_json_line_takes_any_value_and_any_error() -> None:
    """An object is its text; a traceback is part of the line."""
    assert as_json("not ready error=%s", OSError("no\nroom"))["error"] == "no\nroom"
    assert "ValueError: bad" in str(as_json("round failed", error=ValueError("bad"))["exception"])
    assert as_json("100% sure")["message"] == "100% sure"
    assert as_json("%(a)s", {"a": 1})["message"] == "1"


def test_the_format_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """In any case; one that does not exist is said with those that do."""
    monkeypatch.setenv("FACE_IMPORT_LOG_FORMAT", "JSON")
    assert Settings().log_format == "json"
    monkeypatch.setenv("FACE_IMPORT_LOG_FORMAT", "xml")
    get_settings.cache_clear()
    with pytest.raises(ConfigError, match="FACE_IMPORT_LOG_FORMAT: Input should be 'text' or 'json'"):
        get_settings()
    get_settings.cache_clear()


@pytest.mark.parametrize("line_format", ["json", "text"])
def test_gunicorns_lines_have_the_format(monkeypatch: pytest.MonkeyPatch, line_format: str) -> None:
    """Its first line, too, which it writes before there is an application."""
    monkeypatch.setenv(gunicorn_logs.VARIABLE, line_format)
    logger = gunicorn_logs.Logger(Config())
    (handler,) = [one for one in logger.error_log.handlers if getattr(one, "_gunicorn", False)]
    handler.setStream(written := io.StringIO())
    try:
        logger.info("Starting gunicorn %s", "27")
    finally:
        logger.error_log.removeHandler(handler)
    if line_format == "json":
        assert json.loads(written.getvalue())["message"] == "Starting gunicorn 27"
    else:
        assert written.getvalue().endswith("[INFO] Starting gunicorn 27\n")
