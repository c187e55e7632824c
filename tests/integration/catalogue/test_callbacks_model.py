"""Callbacks under any sequence of ends, senders that die, and receivers that fail, on SQLite and on PostgreSQL."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from face_import.callbacks import body_of
from face_import.catalogue import Call, Catalogue, TaskConfig
from face_import.catalogue.schema import callback, import_task
from face_import.contract import Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits
from tests.catalogues import DATABASES, catalogue_on

DEAD_S, ALIVE_S = 0.0, 600.0
SENDERS = 8
End = tuple[str, int]


@pytest.fixture(scope="module", params=DATABASES)
def catalogue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """A catalogue of each kind."""
    yield from catalogue_on(request.param, tmp_path_factory.mktemp("home"))


def started(catalogue: Catalogue, url: str) -> str:
    """A running task that is to be told of."""
    task_id = new_task_id()
    config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP, callback_url=url)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.RUNNING)
    return task_id


class World:
    """Three tasks, any number of senders, and what the receivers have got."""

    def __init__(self, catalogue: Catalogue) -> None:
        with catalogue.engine.begin() as connection:
            connection.execute(delete(import_task))
        self.catalogue = catalogue
        self.tasks = [started(catalogue, f"http://host-{n}.example/") for n in range(3)]
        self.ended: set[End] = set()
        self.told: dict[End, set[tuple[str, str]]] = {}
        self.held: list[Call] = []

    def stop(self, n: int) -> None:
        """Somebody stops a task."""
        task = self.catalogue.tasks.get(self.tasks[n % 3])
        if self.catalogue.tasks.halt(task.id, "stopped"):
            self.ended.add((task.id, task.attempt))

    def start(self, n: int) -> None:
        """Somebody resumes one; or its start is undone, since Airflow is away."""
        task = self.catalogue.tasks.get(self.tasks[n % 3])
        if task.state == TaskState.STOPPED:
            before = self.catalogue.tasks.start(task.id)
            if n % 4 == 0:
                self.catalogue.tasks.undo_start(before)

    def claim(self, n: int) -> None:
        """A sender takes calls; some are so slow that others take them for dead."""
        self.held += self.catalogue.callbacks.claim(2, DEAD_S if n % 2 else ALIVE_S)

    def lose(self, n: int) -> None:
        """A sender is killed before it sends."""
        self._one(n)

    def send(self, n: int) -> None:
        """A sender sends and records it."""
        if call := self._one(n):
            self.receive(call)
            self.catalogue.callbacks.delivered(call, "200 OK")

    def die(self, n: int) -> None:
        """A sender sends, and is killed before it records it."""
        if call := self._one(n):
            self.receive(call)

    def refuse(self, n: int) -> None:
        """The receiver answers 503."""
        if call := self._one(n):
            self.catalogue.callbacks.failed(call, "503", 0.0)

    def _one(self, n: int) -> Call | None:
        return self.held.pop(n % len(self.held)) if self.held else None

    def receive(self, call: Call) -> None:
        """A receiver gets a call."""
        self.told.setdefault((call.task_id, call.attempt), set()).add((call.id, body_of(call)))

    def in_the_end(self) -> None:
        """All leases and pauses are over, and everything works."""
        with self.catalogue.engine.begin() as connection:
            connection.execute(update(callback).where(callback.c.due_at.is_not(None)).values(due_at=0.0))
        while calls := self.catalogue.callbacks.claim(100, ALIVE_S):
            for call in calls:
                self.receive(call)
                self.catalogue.callbacks.delivered(call, "200 OK")


STEPS = ("stop", "start", "claim", "lose", "send", "die", "refuse")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11)), max_size=40))
def test_every_end_is_told_and_nothing_else(catalogue: Catalogue, steps: list[tuple[str, int]]) -> None:
    """At least once, always under the same id and with the same body, whoever dies between any two steps."""
    world = World(catalogue)
    for name, n in steps:
        getattr(world, name)(n)
    world.in_the_end()
    assert set(world.told) == world.ended
    assert all(len(versions) == 1 for versions in world.told.values())
    said = {end: next(iter(versions)) for end, versions in world.told.items()}
    assert len({call_id for call_id, _ in said.values()}) == len(world.ended)
    for (task_id, attempt), (_, body) in said.items():
        data = json.loads(body)["data"]
        assert (data["id"], data["attempts"], data["state"]) == (task_id, attempt, TaskState.STOPPED)


def test_senders_that_claim_at_the_same_time_get_different_calls(catalogue: Catalogue) -> None:
    """No call is made by two at once, and none is left out."""
    world = World(catalogue)
    many = {started(catalogue, f"http://host-{n}.example/") for n in range(20)}
    for task_id in many:
        catalogue.tasks.halt(task_id, "stopped")
    together = Barrier(SENDERS)

    def claim(_: int) -> list[Call]:
        together.wait()
        return catalogue.callbacks.claim(100, ALIVE_S)

    with ThreadPoolExecutor(SENDERS) as pool:
        claimed = [call.task_id for calls in pool.map(claim, range(SENDERS)) for call in calls]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) == many
    assert world.ended == set()
