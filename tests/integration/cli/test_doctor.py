"""The doctor's findings; nothing has to run for them."""

import sqlite3
import sys
from pathlib import Path

import psutil
import pytest

from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.engine import migrate, revisions
from face_import.contract import Mode, Notice, TaskState
from face_import.domain.models import Limits
from face_import.settings import Settings
from tests.doubles.process import ImageHost
from tests.unit.stack.conftest import face_import, make_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a stack that nobody else has."""
    return make_settings(tmp_path / "home")


def examined(settings: Settings, *, status: int, **variables: str) -> dict[str, list[str]]:
    """Run the doctor; returns its lines by their first words, as level and subject."""
    done = face_import(settings, "doctor", **variables)
    assert (done.returncode, done.stderr) == (status, "")
    lines: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        lines.setdefault(" ".join(line[:26].split()), []).append(line[27:])
    return lines


def test_nothing_runs_and_all_is_well(settings: Settings) -> None:
    """Every subject is looked at, and nothing is made by looking."""
    lines = examined(settings, status=0)
    subjects = {"Python", "settings", "programs", "home", "port", "processes", "database", "storage"}
    assert {f"ok {subject}" for subject in subjects} <= lines.keys()
    assert lines["ok port"][0] == f"FACE_IMPORT_PORT: {settings.port} is free"
    assert lines["ok processes"] == ["not running: start them with face-import up"]
    assert not settings.home.exists()


def test_a_service_is_looked_at_as_imports_call_it(settings: Settings) -> None:
    """Without the proxy of the caller's shell, which they do not use either."""
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "socks5://127.0.0.1:9")
    with ImageHost() as host:
        lines = examined(settings, status=0, FACE_IMPORT_INFO_URL=host.url, **proxies)
    assert lines["ok face service"] == [f"FACE_IMPORT_INFO_URL: {host.url} responds"]


@pytest.mark.parametrize(
    ("variables", "finding", "said"),
    [
        ({"FACE_IMPORT_PRT": "1"}, "problem settings", "did you mean FACE_IMPORT_PORT?"),
        ({"FACE_IMPORT_PORT": "x"}, "problem settings", "FACE_IMPORT_PORT: Input should be a valid integer"),
        ({"FACE_IMPORT_INFO_URL": "localhost:8100"}, "problem settings", "must be an http or https URL"),
        ({"FACE_IMPORT_HOME": "/proc/x"}, "problem home", "is not writable"),
        ({"FACE_IMPORT_STORAGE_URL": "file:///proc/x"}, "problem storage", "set FACE_IMPORT_STORAGE_URL"),
        ({"FACE_IMPORT_STORAGE_URL": "nofs://x"}, "problem storage", "nofs: URLs cannot be opened"),
        ({"FACE_IMPORT_DATABASE_URL": "nodb://x"}, "problem database", "fix FACE_IMPORT_DATABASE_URL"),
        ({"FACE_IMPORT_BROKER_URL": "redis://127.0.0.1:9"}, "problem server", "workers need PostgreSQL"),
        ({"FACE_IMPORT_INFO_URL": "http://127.0.0.1:9"}, "problem face service", "FACE_IMPORT_INFO_URL"),
    ],
    ids=["misspelt", "invalid", "url", "home", "storage", "file-system", "database", "server", "service"],
)
def test_a_problem_is_named_with_a_way_out(
    settings: Settings, variables: dict[str, str], finding: str, said: str
) -> None:
    """Exit status 1, and a line that says which variable to mend."""
    lines = examined(settings, status=1, **variables)
    assert said in lines[finding][0]


def test_a_busy_port_is_a_problem(settings: Settings) -> None:
    """The line says who has it."""
    with psutil.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(settings.port)]) as server:
        try:
            while not server.net_connections():
                assert server.is_running()
            lines = examined(settings, status=1)
        finally:
            server.kill()
    assert f"port {settings.port} is in use by" in lines["problem port"][0]
    assert len(lines["ok port"]) == 2


def test_an_import_that_waits_for_somebody_is_named(settings: Settings) -> None:
    """A pool without slots pauses one import, and nothing is wrong with the machine."""
    migrate(settings.catalogue_url)
    tasks = Catalogue.open(settings, pooled=False).tasks
    config = TaskConfig("staff", "faces.csv", Limits(), 8, Mode.SKIP)
    tasks.add("AAAAAAAAAAAA", "AAAAAAAAAAAA", config, state=TaskState.RUNNING)
    tasks.notify("AAAAAAAAAAAA", Notice.NO_SLOTS)
    assert examined(settings, status=0)["warning import"] == [f"AAAAAAAAAAAA: {Notice.NO_SLOTS}"]


def test_the_database_and_its_revision(settings: Settings) -> None:
    """Migrated, not migrated yet, of another release, and no database at all."""
    path = settings.home / "catalogue.db"
    migrate(settings.catalogue_url)
    newest = revisions(settings.catalogue_url, timeout_s=5)[1][0]
    assert f"revision {newest}" in examined(settings, status=0)["ok database"][0]
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "of another release" in examined(settings, status=1)["problem database"][0]
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM alembic_version")
    assert "down, then up, migrates it" in examined(settings, status=0)["warning database"][0]
    connection.close()
    for file in settings.home.iterdir():
        file.unlink()
    path.write_bytes(b"no database" * 1000)
    assert "file is not a database" in examined(settings, status=1)["problem database"][0]
