"""What is wrong before anything starts is said in one line."""

import os
import socket
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from face_import.errors import ConfigError
from face_import.stack.checks import check_library, check_servers, check_start, check_variables, require
from face_import.stack.layout import Layout
from face_import.stack.lifecycle import Stack
from face_services.engine import EMBEDDING_SIZE
from face_services.store import KnownFace, Store
from tests.unit.stack.conftest import make_settings


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("name", ["port", "airflow_port", "services_port"])
def test_a_busy_port_is_named_with_its_variable(tmp_path: Path, busy_port: int, name: str) -> None:
    """The line says which variable to change, and who has the port."""
    settings = make_settings(tmp_path, **{name: busy_port})
    with pytest.raises(ConfigError, match=rf"^FACE_IMPORT_{name.upper()}: port {busy_port} is in use by .*$"):
        require(check_start(settings))


def test_one_port_for_two_programs_is_refused(tmp_path: Path) -> None:
    """Two variables with the same value are a mistake in the settings, not a busy port."""
    settings = make_settings(tmp_path)
    with pytest.raises(ConfigError, match=r"FACE_IMPORT_AIRFLOW_PORT: \d+ is FACE_IMPORT_PORT already"):
        require(check_start(settings.model_copy(update={"airflow_port": settings.port})))


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    """`FACE_IMPORT_BIND` has to be an address of this machine."""
    settings = make_settings(tmp_path, bind="192.0.2.1")
    with pytest.raises(ConfigError, match=r"FACE_IMPORT_PORT: cannot listen on 192.0.2.1"):
        require(check_start(settings))


@pytest.mark.parametrize("name", ["a$b", "line\nbreak", os.fsdecode(b"latin-\xe4")], ids=["dollar", "line", "bytes"])
def test_a_path_that_cannot_be_told_to_others_is_refused(tmp_path: Path, name: str) -> None:
    """In one line, instead of another program's words after a minute; the folder is not even made."""
    stack = Stack(make_settings(tmp_path / name))
    with pytest.raises(ConfigError, match=r"^FACE_IMPORT_HOME: .* has .*, which Airflow or Python cannot be told$"):
        stack.up(foreground=False)
    assert list(tmp_path.iterdir()) == []


def test_missing_face_services_are_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without their packages the embedded services cannot run."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="embedded face services are not installed: run make setup"):
        require(check_start(make_settings(tmp_path)))


def test_outer_face_services_need_neither_program_nor_port(
    tmp_path: Path, busy_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who brings their own services is not asked for ours."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    settings = make_settings(
        tmp_path,
        info_url="http://info.example",
        library_url="http://library.example",
        services_port=busy_port,
    )
    require(check_start(settings))


def test_where_tests_find_their_servers_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell in which tests run starts a stack as well."""
    monkeypatch.setenv("FACE_IMPORT_TEST_POSTGRES_URL", "postgresql+psycopg://127.0.0.1/postgres")
    require(check_variables())


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would silently do nothing, so the nearest one is named."""
    monkeypatch.setenv("FACE_IMPORT_PROT", "9000")
    with pytest.raises(ConfigError, match=r"^FACE_IMPORT_PROT: no such setting: did you mean FACE_IMPORT_PORT\?$"):
        require(check_variables())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"database_url": "postgresql+psycopg://u:secret@127.0.0.1:9/x"}, "FACE_IMPORT_DATABASE_URL: .*refused"),
        ({"airflow_database_url": "nonsense"}, "FACE_IMPORT_AIRFLOW_DATABASE_URL: Could not parse"),
        ({"broker_url": "redis://127.0.0.1:9/0"}, "FACE_IMPORT_BROKER_URL: workers need PostgreSQL"),
    ],
    ids=["database", "no-url", "workers-on-sqlite"],
)
def test_a_server_that_cannot_be_used_is_named(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    """In one line, with the variable and without a password."""
    settings = make_settings(tmp_path, **changes)
    with pytest.raises(ConfigError, match=rf"^{said}.*$") as raised:
        require(check_start(settings))
    assert "secret" not in str(raised.value)


def test_a_broker_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """It is looked at even if a database does not answer either."""
    settings = make_settings(
        tmp_path, airflow_database_url="postgresql+psycopg://127.0.0.1:9/x", broker_url="redis://:secret@127.0.0.1:9"
    )
    _, broker = check_servers(settings)
    with pytest.raises(ConfigError, match=r"^FACE_IMPORT_BROKER_URL: .*refused") as raised:
        require([broker])
    assert "secret" not in str(raised.value)


def test_a_library_of_another_engine_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Before anything starts, not by searches that find nobody."""
    settings = make_settings(tmp_path)
    path = Layout.of(settings.home).library
    store = Store(path)
    store.create("crew", 0)
    store.add("crew", KnownFace("a", "", None, [], 0.9), np.ones(EMBEDDING_SIZE, np.float32))
    require(check_library(settings))
    with sqlite3.connect(path) as library:
        library.execute("UPDATE about SET engine = 'Another 1'")
    with pytest.raises(ConfigError, match=r"was made with Another 1; .* import again"):
        require(check_start(settings))
