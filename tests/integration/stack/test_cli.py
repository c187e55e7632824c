"""The command, as an operator meets it."""

from pathlib import Path

import psutil
import pytest

from face_import.settings import CHECKOUT, Settings
from face_import.stack.layout import Layout
from face_import.stack.processes import members
from tests.unit.stack.conftest import face_import, make_settings


def test_status_and_down_of_nothing(settings: Settings) -> None:
    """Nothing runs: status says so with 3, and down is content; neither makes the home."""
    assert face_import(settings, "status").returncode == 3
    assert face_import(settings, "down").returncode == 0
    assert not settings.home.exists()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FACE_IMPORT_PORT", "eighty", "FACE_IMPORT_PORT: Input should be a valid integer"),
        ("FACE_IMPORT_PORT", "0", "FACE_IMPORT_PORT: Input should be greater than or equal to 1"),
        ("FACE_IMPORT_FETCH_ALLOW", "10.0.0.0/33", "FACE_IMPORT_FETCH_ALLOW: Value error"),
        ("FACE_IMPORT_SERVICE_PORT", "1", "did you mean FACE_IMPORT_SERVICES_PORT?"),
    ],
    ids=["no-number", "out-of-range", "no-network", "misspelt"],
)
def test_a_wrong_variable_is_one_line(settings: Settings, variable: str, value: str, said: str) -> None:
    """No traceback, exit code 1, and nothing runs."""
    done = face_import(settings, "up", "--detach", **{variable: value})
    assert done.returncode == 1
    assert done.stderr.startswith("face-import: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not members(Layout.of(settings.home).stack_id)


def test_a_home_in_the_way_is_one_line(tmp_path: Path) -> None:
    """A file where the home should be is said, not traced."""
    (tmp_path / "file").touch()
    done = face_import(make_settings(tmp_path / "file"), "up", "--detach")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_a_busy_port_is_one_line(settings: Settings) -> None:
    """The variable is named, exit code 1, and nothing runs."""
    with psutil.Popen(["python3", "-m", "http.server", "--bind", "127.0.0.1", str(settings.port)]) as server:
        try:
            done = face_import(settings, "up", "--detach")
        finally:
            server.kill()
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_airflows_command_is_airflows(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the working directory that happens to be called airflow.py is not run in its place."""
    assert face_import(settings, "credentials").returncode == 0
    (tmp_path / "airflow.py").write_text("print('not Airflow')")
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT / "plugins"))
    monkeypatch.chdir(tmp_path)
    done = face_import(settings, "airflow", "version")
    assert "3." in done.stdout, done.stderr
    assert "not Airflow" not in done.stdout


def test_a_worker_without_a_broker_is_one_line(settings: Settings) -> None:
    """There is nothing it could take work from."""
    done = face_import(settings, "worker")
    assert done.returncode == 1
    assert done.stderr.startswith("face-import: FACE_IMPORT_BROKER_URL: not set")
    assert done.stderr.count("\n") == 1
