"""A machine in trouble costs no try: what failed is done again by the same process."""

import sqlite3
import threading

import pytest
from sqlalchemy.exc import OperationalError

from face_import.catalogue.engine import is_full
from face_import.errors import Interrupted, LeaseLost
from face_import.orchestration.dag import enduring as module
from face_import.orchestration.dag.operators import InterruptibleTask
from face_import.settings import Settings


def full() -> OperationalError:
    """What SQLAlchemy raises when SQLite finds no room."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 10)
    return OperationalError("INSERT", {}, caught.value)


class Work:
    """Fails with each of these errors once, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> None:
        """Do it."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    monkeypatch.setattr(module, "FULL_S", 0.0)
    monkeypatch.setattr(module, "BUSY_S", 0.0)


def test_a_full_catalogue_is_waited_for(settings: Settings) -> None:
    """Also one that is on a disk of another machine, by what it says."""
    assert is_full(full())
    work = Work(full(), full())
    module.enduring(work, lambda: 0, settings)
    assert work.calls == 3


def test_a_lease_that_a_full_disk_did_not_renew(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for until there is room."""
    told = iter(["no room", "no room", "no room"])
    monkeypatch.setattr(module, "shortage", lambda _: next(told, ""))
    work = Work(LeaseLost("late"))
    module.enduring(work, lambda: 0, settings)
    assert (work.calls, next(told, "")) == (2, "")


def test_a_busy_machine_costs_no_try(settings: Settings) -> None:
    """The lease is taken again as long as rows are handled in between, and a few times more."""
    losses, rows = module.MOST_LOST + 5, iter(range(1, 100))
    work = Work(*[LeaseLost("late")] * losses)
    module.enduring(work, lambda: next(rows), settings)
    assert work.calls == losses + 1
    work = Work(*[LeaseLost("late")] * losses)
    with pytest.raises(LeaseLost):
        module.enduring(work, lambda: 7, settings)
    assert work.calls == module.MOST_LOST + 2  # the first one had rows


def test_who_is_asked_to_end_does_not_wait(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop holds on a full disk too."""
    monkeypatch.setattr(InterruptibleTask, "asked_to_end", True)
    with pytest.raises(Interrupted):
        module.wait_for_room(settings.model_copy(update={"min_free_bytes": 2**62}))


def test_a_stop_is_heard_while_it_waits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow kills a process five seconds after it asked it to end."""
    monkeypatch.setattr(InterruptibleTask, "asked_to_end", False)
    monkeypatch.setattr(module, "FULL_S", 3600.0)
    asking = threading.Timer(0.3, lambda: setattr(InterruptibleTask, "asked_to_end", True))
    asking.start()
    with pytest.raises(Interrupted):
        module.enduring(Work(full()), lambda: 0, settings)
    asking.join()
