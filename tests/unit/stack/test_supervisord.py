"""Supervisord's logs on a full disk."""

import sys
from pathlib import Path

import pytest
from supervisor import loggers

from face_import.stack.supervisord import EnduringFileHandler


def line(text: str) -> loggers.LogRecord:
    """A line of a program."""
    return loggers.LogRecord(loggers.LevelsByName.INFO, text)


def test_a_line_that_cannot_be_written_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is raised, also with stderr on the same disk; later lines are written again."""
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    handler = EnduringFileHandler(str(log), maxBytes=2**20)
    with open("/dev/full", "w", buffering=1) as full:  # noqa: PTH123 - a device
        monkeypatch.setattr(sys, "stderr", full)
        for _ in range(1000):
            handler.emit(line("lost " * 20))
    log.unlink()
    handler.stream.close = lambda: None  # its buffer cannot be written to /dev/full
    handler.reopen()
    handler.emit(line("kept"))
    assert log.read_text() == "kept"


def test_a_log_that_cannot_be_rotated_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a new file there is nothing to write to until there is room again."""
    log = tmp_path / "log"
    handler = EnduringFileHandler(str(log), maxBytes=10, backupCount=1)
    with monkeypatch.context() as full:

        def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        full.setattr(handler, "removeAndRename", refuse)
        handler.emit(line("a line of more than ten bytes"))
        handler.emit(line("another one"))
    handler.emit(line("a third one"))
    assert (tmp_path / "log.1").read_text().endswith("a third one")
