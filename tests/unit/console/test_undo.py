"""The console offers to undo an import before it is deleted, and says what an undo is."""

import pytest
from flask.testing import FlaskClient

from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import Code
from face_import.domain.models import Outcome, OutcomeBatch
from tests.conftest import MakeTask
from tests.unit.console.conftest import Fail, Get

OFFER = "Undo, then delete"


@pytest.fixture
def task(catalogue: Catalogue, make_task: MakeTask) -> ImportTask:
    """A completed import with one face."""
    task = make_task(rows=1)
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (Outcome(1, "http://x", Code.OK, face_id="f"),)))
    catalogue.leases.give_back(task.id, 0, "me", in_doubt=False)
    return task


def test_an_import_with_faces_is_undone_before_it_is_deleted(
    client: FlaskClient, get: Get, catalogue: Catalogue, task: ImportTask
) -> None:
    """Once it has ended; while Airflow is away, the page says so."""
    assert OFFER not in get(f"/tasks/{task.id}")
    assert catalogue.tasks.complete(task.id)
    assert OFFER in get(f"/tasks/{task.id}")
    assert "先撤销，再删除" in get(f"/tasks/{task.id}", language="zh")
    away = client.post(f"/tasks/{task.id}/undo")
    assert (away.status_code, "Airflow is unavailable" in away.text) == (503, True)
    assert catalogue.tasks.all_ids() == {task.id}


def test_an_import_without_faces_is_only_deleted(
    get: Get, catalogue: Catalogue, make_task: MakeTask, fail: Fail
) -> None:
    """There is nothing to undo."""
    task = make_task(rows=1)
    fail(task, (Code.NO_FACE, "http://x", ""))
    catalogue.tasks.stop(task.id)
    assert OFFER not in get(f"/tasks/{task.id}")


def test_an_undo_says_what_it_is(get: Get, catalogue: Catalogue, task: ImportTask) -> None:
    """It leads to the import, has no limits, and its rows are removed rather than imported."""
    assert catalogue.tasks.complete(task.id)
    undo = catalogue.undoing.begin(task.id, "undo-of-task")
    page = get(f"/tasks/{undo.id}")
    assert f'Undo of import <a href="/tasks/{task.id}">{task.id}</a>' in page
    assert f"/tasks/{undo.id}/limits" not in page
    assert "<dt>Removed</dt>" in page
    assert OFFER not in page
    assert "撤销导入任务" in get(f"/tasks/{undo.id}", language="zh")
    assert f"undo of {task.id}" in get("/")
