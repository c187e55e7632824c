"""Keeps the unit tests as cheap as their folder promises."""

import subprocess
from typing import NoReturn

import pytest

from tests import servers


@pytest.fixture(autouse=True)
def _nothing_but_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> NoReturn:
        pytest.fail("a unit test starts no process and uses no server: this one belongs into tests/integration")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(servers, "databases", refuse)
