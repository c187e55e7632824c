"""Where a stack lives."""

import os
import stat
from pathlib import Path

import pytest

from face_import.errors import ConfigError
from face_import.stack.layout import Layout


def test_two_homes_have_two_ids_and_one_home_has_one_through_a_link(tmp_path: Path) -> None:
    """The id follows the real path, so that a symbolic link leads to the same stack."""
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert Layout.of(tmp_path / "a").stack_id == Layout.of(tmp_path / "link").stack_id
    assert Layout.of(tmp_path / "a").stack_id != Layout.of(tmp_path / "b").stack_id


def test_directories_are_private(layout: Layout) -> None:
    """Nobody else can look into the home."""
    for directory in (layout.home, layout.airflow_home, layout.secrets, layout.logs, layout.run):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_deep_home_keeps_its_socket_elsewhere(tmp_path: Path) -> None:
    """The socket's path fits into what Linux allows, however deep the home is."""
    socket = Layout.of(tmp_path / ("x" * 120)).socket
    assert len(os.fsencode(socket)) < 100
    assert not socket.is_relative_to(tmp_path)


def test_a_home_that_cannot_be_made_is_said_in_a_line(tmp_path: Path) -> None:
    """A file in the home's place is an operator's mistake, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^FACE_IMPORT_HOME: cannot create .*$"):
        Layout.of(tmp_path / "file" / "home").create()
