"""Airflow's log files on a full disk."""

import os
from pathlib import Path

import pytest
import structlog

from face_import.orchestration import logfiles
from face_import.orchestration.logfiles import EnduringLogger, log_file_or_none


def test_a_line_that_cannot_be_written_is_left_out() -> None:
    """Neither the line nor the file's end raises: Airflow lets both through."""
    with Path("/dev/full").open("ab") as file:
        for write in (EnduringLogger(file).msg, EnduringLogger(file).info, EnduringLogger(file).exception):
            write(b"a line")


def test_other_lines_are_written_at_once(tmp_path: Path) -> None:
    """As by structlog's own logger: a reader follows the file."""
    with (tmp_path / "log").open("ab") as file:
        logger = structlog.wrap_logger(EnduringLogger(file), processors=[lambda _logger, _name, event: event["event"]])
        logger.warning(b"a line")
        assert (tmp_path / "log").read_bytes() == b"a line\n"


@pytest.mark.parametrize("is_made", [True, False])
def test_a_file_that_cannot_be_made_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_made: bool) -> None:
    """Airflow goes on when it cannot make the file, only to fail at opening it."""
    path = tmp_path / "attempt=1.log"
    if is_made:
        path.touch()
    monkeypatch.setattr(logfiles, "_open_log_file", lambda _: path)
    assert log_file_or_none("attempt=1.log") == (path if is_made else Path(os.devnull))
