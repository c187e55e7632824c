"""Where a stack lives."""

import stat
from pathlib import Path

import pytest

from face_import.catalogue.engine import migrate
from face_import.errors import ConfigError
from face_import.stack.layout import Layout
from tests.unit.stack.conftest import make_settings


def test_two_homes_have_two_ids_and_one_home_has_one_through_a_link(tmp_path: Path) -> None:
    """The id follows the real path, so that a symbolic link leads to the same stack."""
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert Layout.of(tmp_path / "a").stack_id == Layout.of(tmp_path / "link").stack_id
    assert Layout.of(tmp_path / "a").stack_id != Layout.of(tmp_path / "b").stack_id


def test_directories_are_private(layout: Layout) -> None:
    """Nobody else can look into the home."""
    for directory in (layout.home, layout.airflow_home, layout.secrets, layout.logs, layout.run, layout.temporary):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_everything_is_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the socket of a deep one: a second command finds it whatever its TMPDIR, and no cleaner of /tmp does."""
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    layout = Layout.of(tmp_path / ("x" * 120))
    assert layout.socket.is_relative_to(layout.home)
    assert layout.temporary.is_relative_to(layout.home)


@pytest.mark.parametrize("name", ["100%41", "a #b?c;d&e", 'it\'s "项目"', "a+b = c"])
def test_databases_may_be_in_a_home_of_any_name(tmp_path: Path, name: str) -> None:
    """A URL has meanings of its own for some characters."""
    url = make_settings(tmp_path / name).catalogue_url
    migrate(url)
    assert (tmp_path / name / "catalogue.db").exists()


def test_a_home_that_cannot_be_made_is_said_in_a_line(tmp_path: Path) -> None:
    """A file in the home's place is an operator's mistake, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^FACE_IMPORT_HOME: cannot create .*$"):
        Layout.of(tmp_path / "file" / "home").create()
