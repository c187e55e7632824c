"""A Celery worker's heartbeat as a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.signals import heartbeat_sent

from face_import.lifetime import beat
from face_import.orchestration import heartbeat
from face_import.settings import Settings


@pytest.fixture(autouse=True)
def _receivers() -> Iterator[None]:
    """No receiver is left to other tests."""
    before = heartbeat_sent.receivers
    heartbeat_sent.receivers = []
    yield
    heartbeat_sent.receivers = before


def test_each_heartbeat_touches_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is as old as the last heartbeat, so a worker whose loop hangs has an old one."""
    file = tmp_path / "heartbeat"
    monkeypatch.setattr(heartbeat, "get_settings", lambda: Settings(heartbeat_file=file))
    heartbeat.show_heartbeat()
    assert not file.exists()
    heartbeat_sent.send(sender=None)
    first = file.stat().st_mtime_ns
    heartbeat_sent.send(sender=None)
    assert file.stat().st_mtime_ns >= first


def test_without_a_file_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery computes what it tells only if somebody does."""
    monkeypatch.setattr(heartbeat, "get_settings", Settings)
    heartbeat.show_heartbeat()
    assert heartbeat_sent.receivers == []


def test_a_file_that_cannot_be_touched_ends_nothing(tmp_path: Path) -> None:
    """The check sees that it ages."""
    beat(tmp_path / "missing" / "heartbeat")
    assert not (tmp_path / "missing").exists()
    beat(None)
