"""A home and free ports for every test, and the certainty that no process outlives it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from face_import.settings import Settings
from face_import.stack.layout import Layout
from face_import.stack.processes import end_members

DEADLINE_S = 20.0


def wait_until(condition: Callable[[], object], *, what: str, deadline: float = DEADLINE_S) -> None:
    """Poll until the condition holds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_settings(home: Path, **changes: object) -> Settings:
    """Settings of a stack on ports of its own, whatever the caller's environment says."""
    ports = {"port": free_port(), "airflow_port": free_port(), "services_port": free_port()}
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


def face_import(settings: Settings, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the `face-import` command on the stack of these settings."""
    environment = {
        **os.environ,
        "FACE_IMPORT_HOME": str(settings.home),
        "FACE_IMPORT_PORT": str(settings.port),
        "FACE_IMPORT_AIRFLOW_PORT": str(settings.airflow_port),
        "FACE_IMPORT_SERVICES_PORT": str(settings.services_port),
        **variables,
    }
    command = [sys.executable, "-m", "face_import.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=180)
