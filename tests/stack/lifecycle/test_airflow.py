"""The whole stack with a real Airflow."""

import sqlite3
import stat
from contextlib import closing

import pytest

from face_import.settings import Settings
from face_import.stack.layout import Layout
from face_import.stack.processes import members
from tests.unit.stack.conftest import face_import

OUTER = {"FACE_IMPORT_INFO_URL": "http://127.0.0.1:9", "FACE_IMPORT_LIBRARY_URL": "http://127.0.0.1:9"}


@pytest.mark.slow
def test_up_status_up_down(settings: Settings, layout: Layout) -> None:
    """Up is healthy, a second up changes nothing, and down leaves no process; all files are private at any umask."""
    first = face_import(settings, "up", "--detach", umask=0, **OUTER)
    assert first.returncode == 0, first.stderr
    assert f"http://127.0.0.1:{settings.airflow_port}" in first.stdout
    before = {process.pid for process in members(layout.stack_id)}
    assert face_import(settings, "status").returncode == 0

    again = face_import(settings, "up", "--detach", **OUTER)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert {process.pid for process in members(layout.stack_id)} == before

    with closing(sqlite3.connect(layout.airflow_database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    loose = [path for path in layout.home.rglob("*") if stat.S_IMODE(path.lstat().st_mode) & 0o077]
    assert not [path for path in loose if not path.is_symlink()]

    assert face_import(settings, "down").returncode == 0
    assert not members(layout.stack_id)
    assert face_import(settings, "status").returncode == 3
