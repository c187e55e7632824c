"""From which level our processes log."""

import logging
from collections.abc import Iterator

import pytest

from face_import import logs
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
