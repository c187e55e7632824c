"""Whatever umask, HOME and checkout the caller has, commands work, and what they write is private."""

import stat
from pathlib import Path

import pytest

from face_import.settings import Settings
from tests.unit.stack.conftest import face_import, make_settings

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """In place of the other one: a home that does not exist yet, in a folder that does not either."""
    return make_settings(tmp_path / "new" / "home")


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_the_umask_decides_nothing(settings: Settings, umask: int) -> None:
    """Folders are their owner's alone, and so are files, secrets first of all."""
    for command in ("credentials", "migrate"):
        done = face_import(settings, command, umask=umask)
        assert done.returncode == 0, done.stderr
    written = [settings.home, *settings.home.rglob("*")]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in written}
    assert {modes[path] for path in written if path.is_dir()} == {0o700}
    assert {modes[path] for path in written if path.is_file()} == {0o600}
    assert settings.home / "secrets" / "airflow_admin_password" in modes
    assert settings.home / "catalogue.db" in modes


@pytest.mark.parametrize("home", [None, "", "/nonexistent"], ids=["unset", "empty", "missing"])
def test_home_decides_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    """Neither ours nor Airflow's commands want a home directory."""
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    for command in (["credentials"], ["migrate"], ["airflow", "db", "check-migrations", "--help"], ["down"]):
        done = face_import(settings, *command)
        assert done.returncode == 0, done.stderr
    found = face_import(settings, "doctor")
    assert "Traceback" not in found.stderr + found.stdout
    assert f"{settings.home}, " in found.stdout
