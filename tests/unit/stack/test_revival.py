"""What is started anew when nothing starts."""

import pytest

from face_import.settings import Settings
from face_import.stack import revival, supervisor
from face_import.stack.layout import Layout
from face_import.stack.revival import revival_of
from face_import.stack.supervisor import ProcessState
from face_import.stalls import OUT_OF_REACH


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the supervisor was told to do; it has a scheduler, a keeper and two workers."""
    told: list[tuple[str, str]] = []
    names = ("scheduler", "keeper", "worker-1", "worker-2")
    monkeypatch.setattr(supervisor, "states", lambda _: {name: ProcessState(name, "RUNNING", 1, 1) for name in names})
    monkeypatch.setattr(supervisor, "kill", lambda _, name: told.append(("kill", name)))
    monkeypatch.setattr(supervisor, "restart", lambda _, name: told.append(("restart", name)))
    monkeypatch.setattr(revival, "busy_workers", lambda _: 2)
    return told


def test_the_scheduler_unless_each_instance_has_a_process(
    settings: Settings, layout: Layout, done: list[tuple[str, str]]
) -> None:
    """A busy machine may take long to start what its workers have taken out of the queue."""
    found = revival_of(settings, layout)
    assert found.slots == settings.executor_slots
    assert not found.revive(2)
    assert done == []
    assert found.revive(3)
    assert done == [("kill", "scheduler")]


def test_the_workers_where_celery_has_the_queue(
    settings: Settings, layout: Layout, done: list[tuple[str, str]]
) -> None:
    """Only while nothing runs at all: how many workers others have added is not known."""
    found = revival_of(settings.model_copy(update={"broker_url": "redis://"}), layout)
    assert found.slots == 1
    assert found.revive(3)
    assert done == [("restart", "worker-1"), ("restart", "worker-2")]


def test_nothing_where_the_programs_are_elsewhere(settings: Settings, layout: Layout) -> None:
    """In containers the keeper can only say so."""
    assert revival_of(settings, layout) is OUT_OF_REACH
    assert OUT_OF_REACH.revive(3)
