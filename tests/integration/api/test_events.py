"""Live events as they are served: at most one a second, to so many clients, and none holds the process up."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from api_shim.feed import EVERY_S
from api_shim.slots import EVENTS
from face_import.catalogue import Catalogue, TaskConfig
from face_import.contract import Code, Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Outcome, OutcomeBatch, Shard
from tests.integration.api.slow_clients import Clients, begins, head
from tests.shim import Shim
from tests.waiting import until

ROWS = 40


@pytest.fixture
def shim(tmp_path: Path) -> Iterator[Shim]:
    """As the stack starts it."""
    with Shim(tmp_path / "home") as shim:
        yield shim


@pytest.fixture
def catalogue(shim: Shim) -> Iterator[Catalogue]:
    """Its catalogue."""
    catalogue = Catalogue.open(shim.settings)
    yield catalogue
    catalogue.engine.dispose()


def started(catalogue: Catalogue) -> str:
    """A running task, whose only shard is held by "me"."""
    task_id = new_task_id()
    config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=ROWS)
    catalogue.plans.commit(task_id, [Shard(0, 1, ROWS, 0, 100, 1)], ROWS)
    catalogue.tasks.start(task_id)
    catalogue.leases.take(task_id, 0, "me", 10, ttl_s=600.0)
    return task_id


def test_progress_comes_at_most_once_a_second_and_then_the_end(shim: Shim, catalogue: Catalogue) -> None:
    """However fast rows are handled; the stream ends by itself."""
    task_id = started(catalogue)
    came: list[tuple[str, dict[str, int]]] = []
    began = time.monotonic()
    with requests.get(f"{shim.url}/v1/tasks/{task_id}/events", stream=True, timeout=60) as answer:
        row, event = 0, ""
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            if line.startswith("data: "):
                came.append((event, json.loads(line.removeprefix("data: "))))
                for _ in range(10):
                    row += 1
                    outcome = Outcome(row, f"http://x/{row}.jpg", Code.OK, face_id=f"f{row}")
                    if row <= ROWS:
                        catalogue.ledger.write(OutcomeBatch(task_id, 0, "me", (outcome,)))
                if row >= ROWS:
                    catalogue.tasks.complete(task_id)
    kinds = [kind for kind, _ in came]
    assert kinds == ["task.progress"] * (len(came) - 1) + ["task.completed"]
    assert len(came) >= 3
    assert came[-1][1]["handled_num"] == ROWS
    assert len(came) <= 2 + (time.monotonic() - began) / EVERY_S


def test_clients_that_listen_leave_room_for_others(shim: Shim, catalogue: Catalogue) -> None:
    """So many are served, one more is told so, the API answers, and whoever hangs up makes room."""
    task_id = started(catalogue)
    path = f"/v1/tasks/{task_id}/events"
    with Clients(shim.url) as clients:
        listening = [clients.sends(head("GET", path)) for _ in range(EVENTS.number)]
        assert all(begins(client) == b"HTTP/1.1 200" for client in listening)
        refused = requests.get(f"{shim.url}{path}", timeout=60)
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        assert requests.get(f"{shim.url}/v1/tasks/{task_id}/detail", timeout=60).status_code == 200
        for client in listening[:2]:
            client.shutdown(socket.SHUT_RDWR)
            client.close()

        def has_room() -> bool:
            with requests.get(f"{shim.url}{path}", stream=True, timeout=60) as answer:
                return answer.status_code == 200

        until(has_room)


def test_the_process_ends_while_clients_listen(shim: Shim, catalogue: Catalogue) -> None:
    """At once, not when their time is over: supervisord waits ten seconds before it kills."""
    task_id = started(catalogue)
    with Clients(shim.url) as clients:
        listening = [clients.sends(head("GET", f"/v1/tasks/{task_id}/events")) for _ in range(5)]
        assert all(begins(client) == b"HTTP/1.1 200" for client in listening)
        worker = shim.worker()
        shim.end()
        assert not worker.is_running()
    assert "Worker graceful timeout" not in shim.log.read_text()
    assert "Traceback" not in shim.log.read_text()
