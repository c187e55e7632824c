"""Undoing an import by the API, as far as that is decided without Airflow."""

import pytest
from flask.testing import FlaskClient

from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import Code
from face_import.domain.models import Outcome, OutcomeBatch
from tests.conftest import MakeTask


@pytest.fixture
def task(catalogue: Catalogue, make_task: MakeTask) -> ImportTask:
    """A completed task with one face."""
    task = make_task(rows=1)
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (Outcome(1, "http://x/1.jpg", Code.OK, face_id="f"),)))
    catalogue.leases.give_back(task.id, 0, "me", in_doubt=False)
    assert catalogue.tasks.complete(task.id)
    return task


def test_what_cannot_be_undone_is_refused(client: FlaskClient, make_task: MakeTask, task: ImportTask) -> None:
    """409 with the reason, and 503 while Airflow is away."""
    asked = client.post(f"/v1/tasks/{make_task().id}/undo")
    assert (asked.status_code, asked.json["code"]) == (409, "wrong_state")
    assert "it can be undone after it has ended" in asked.json["error"]
    assert client.post("/v1/tasks/AAAAAAAAAAAA/undo").status_code == 404
    assert client.get(f"/v1/tasks/{task.id}/undo").status_code == 405
    assert client.post(f"/v1/tasks/{task.id}/undo").status_code == 503


@pytest.mark.parametrize("what", ["start", "retry"])
def test_a_task_that_is_being_undone_stays_as_it_is(
    client: FlaskClient, catalogue: Catalogue, task: ImportTask, what: str
) -> None:
    """The answer names the undo, which says in detail and list what it is."""
    undo = catalogue.undoing.begin(task.id, "undo-of-task")
    refused = client.post(f"/v1/tasks/{task.id}/{what}", json={} if what == "retry" else None)
    assert refused.status_code == 409
    assert what == "start" or undo.id in refused.json["error"]
    shown = client.get(f"/v1/tasks/{undo.id}/detail").json
    assert (shown["undoes"], shown["changes"], shown["state"]) == (task.id, None, 1)
    assert client.get(f"/v1/tasks/{task.id}/detail").json["undoes"] is None
    assert client.post("/v1/tasks/list", json={"group_name": "staff"}).json["ids"] == [task.id, undo.id]
    refused = client.post(f"/v1/tasks/{undo.id}/undo")
    assert (refused.status_code, refused.json["error"]) == (
        409,
        f"task {undo.id} is the undo of task {task.id}; import that file again instead",
    )
