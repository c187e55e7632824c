"""A home and free ports for every test, and the certainty that no process outlives it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from face_import.settings import Settings
from face_import.stack.layout import Layout
from face_import.stack.processes import end_members
from tests.real import free_ports


def make_settings(home: Path, **changes: object) -> Settings:
    """Settings of a stack on ports of its own, whatever the caller's environment says."""
    ports = dict(zip(("port", "airflow_port", "services_port"), free_ports(3), strict=True))
    return Settings.model_validate({"home": home, **ports, **changes})


@pytest.fixture(autouse=True)
def _no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("FACE_IMPORT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a stack nobody else has."""
    return make_settings(tmp_path / "home")


@pytest.fixture
def layout(settings: Settings) -> Iterator[Layout]:
    """The stack's directories; whatever carries its mark afterwards is ended."""
    layout = Layout.of(settings.home)
    layout.create()
    yield layout
    end_members(layout.stack_id, grace=0)


def face_import(
    settings: Settings, *arguments: str, umask: int = -1, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run the `face-import` command on the stack of these settings, by default with this process's umask."""
    environment = {
        **os.environ,
        "FACE_IMPORT_HOME": str(settings.home),
        "FACE_IMPORT_PORT": str(settings.port),
        "FACE_IMPORT_AIRFLOW_PORT": str(settings.airflow_port),
        "FACE_IMPORT_SERVICES_PORT": str(settings.services_port),
        **variables,
    }
    command = [sys.executable, "-m", "face_import.cli", *arguments]
    return subprocess.run(
        command, env=environment, umask=umask, capture_output=True, text=True, check=False, timeout=180
    )
