"""What `up` says while it waits."""

import time

import pytest

from face_import.stack import lifecycle, supervisor
from face_import.stack.lifecycle import Stack
from face_import.stack.supervisor import ProcessState, programs
from tests.unit.stack.conftest import make_settings


def test_up_tells_what_it_waits_for(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process that is not healthy yet, with what it lacks, until there is none."""
    settings = make_settings(tmp_path_factory.mktemp("home"))
    running = {one.name: ProcessState(one.name, "RUNNING", 1, int(time.time())) for one in programs(settings)}
    rounds = iter(
        [
            {"scheduler": "no heartbeat yet", "shim": "no response", "keeper": "starting", "triggerer": "starting"},
            {"scheduler": "no heartbeat yet"},
            {},
        ]
    )
    monkeypatch.setattr(supervisor, "states", lambda _layout: running)
    monkeypatch.setattr(lifecycle, "problems", lambda *_args: next(rounds))
    monkeypatch.setattr(lifecycle, "_POLL_S", 0)
    told: list[str] = []
    assert Stack(settings).up(foreground=False, tell=told.append) is None
    assert told == [
        "waiting for scheduler (no heartbeat yet), shim (no response) and 2 more",
        "waiting for scheduler (no heartbeat yet)",
    ]
