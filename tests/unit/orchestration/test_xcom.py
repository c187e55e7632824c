"""The XCom backend between a task instance, the ledger, and whoever pulls the XCom."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom

from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import Code
from face_import.domain.models import Outcome, OutcomeBatch
from face_import.errors import LeaseLost, TaskStopped
from face_import.orchestration.dag import xcom
from face_import.orchestration.dag.xcom import LedgerXCom
from tests.conftest import MakeTask
from tests.unit.orchestration.conftest import write_outcomes

WHERE = {"key": "log", "task_id": "shard", "dag_id": "face_import", "run_id": "run", "map_index": 0}
OWNER = "this try"


@pytest.fixture
def task(make_task: MakeTask, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> ImportTask:
    """A task of two shards with ten rows each; `OWNER` holds the lease of the second."""
    monkeypatch.setattr(xcom, "get_catalogue", lambda: catalogue)
    task = make_task(shards=2)
    catalogue.leases.take(task.id, 1, OWNER, 10)
    return task


def batch(task: ImportTask, *codes: Code, owner: str = OWNER) -> OutcomeBatch:
    """Outcomes of the second shard's first rows."""
    rows = enumerate(codes, start=11)
    return OutcomeBatch(task.id, 1, owner, tuple(Outcome(n, f"http://h/{n}.jpg", code, code.name) for n, code in rows))


def pulled(stored: Any) -> Any:
    """What a puller gets of what Airflow stored."""
    return LedgerXCom.deserialize_value(SimpleNamespace(value=stored))


def test_a_batch_is_written_and_a_reference_is_left(task: ImportTask, catalogue: Catalogue) -> None:
    """Airflow stores the shard's progress, small whatever the batch, and no picture's URI."""
    stored = LedgerXCom.serialize_value(batch(task, Code.OK, Code.NO_FACE, Code.NO_FACE), **WHERE)
    assert stored == f"shard 1 of import {task.id}: 1 succeeded, 2 failed (201 x2)"
    assert catalogue.ledger.progress(task.id, 1).by_code == {Code.OK: 1, Code.NO_FACE: 2}


def test_the_same_batch_again_changes_nothing(task: ImportTask, catalogue: Catalogue) -> None:
    """A push that is repeated leaves the reference of before, and every outcome as it was."""
    first = LedgerXCom.serialize_value(batch(task, Code.OK, Code.NO_FACE), **WHERE)
    assert LedgerXCom.serialize_value(batch(task, Code.BLUR, Code.OK), **WHERE) == first


def test_a_puller_gets_the_failed_rows_of_the_shard(task: ImportTask, catalogue: Catalogue) -> None:
    """Of this shard alone, with what is wrong with each."""
    write_outcomes(catalogue, task, {1: Code.NO_FACE})
    stored = LedgerXCom.serialize_value(batch(task, Code.OK, Code.NO_FACE, Code.BLUR), **WHERE)
    assert pulled(stored) == [
        {"row": 12, "uri": "http://h/12.jpg", "code": 201, "message": "NO_FACE"},
        {"row": 13, "uri": "http://h/13.jpg", "code": 207, "message": "BLUR"},
    ]


def test_nothing_is_left_to_pull_of_a_deleted_import(task: ImportTask, catalogue: Catalogue) -> None:
    """Neither while it is being purged, plan and rows bit by bit, nor afterwards; the reference itself may stay."""
    stored = LedgerXCom.serialize_value(batch(task, Code.NO_FACE), **WHERE)
    assert len(pulled(stored)) == 1
    catalogue.tasks.mark_deleted(task.id)
    assert pulled(stored) == []
    while catalogue.tasks.purge_some(task.id):
        assert pulled(stored) == []
    assert catalogue.tasks.peek(task.id) is None
    assert pulled(stored) == []


def test_a_try_that_lost_its_lease_writes_nothing(task: ImportTask, catalogue: Catalogue) -> None:
    """Its batch is refused as a whole: Airflow gets no reference."""
    with pytest.raises(LeaseLost):
        LedgerXCom.serialize_value(batch(task, Code.OK, owner="the try before"), **WHERE)
    assert catalogue.ledger.progress(task.id).handled == 0


def test_a_deleted_task_gets_no_outcomes(task: ImportTask, catalogue: Catalogue) -> None:
    """A shard in flight learns of the delete when it writes."""
    catalogue.tasks.mark_deleted(task.id)
    with pytest.raises(TaskStopped):
        LedgerXCom.serialize_value(batch(task, Code.OK), **WHERE)


@pytest.mark.parametrize("value", [3, "log", [0, 1], {"kind": "another"}, {"succeeded": 3}, None], ids=repr)
def test_other_values_are_stored_as_airflow_does(value: Any) -> None:
    """Shard numbers, counts, and whatever other DAGs push; the catalogue is not asked."""
    stored = LedgerXCom.serialize_value(value, **WHERE)
    assert stored == BaseXCom.serialize_value(value, **WHERE)
    assert pulled(stored) == value


def test_purging_an_xcom_keeps_the_ledger(task: ImportTask, catalogue: Catalogue) -> None:
    """Airflow purges the XComs of a task instance before each try."""
    LedgerXCom.serialize_value(batch(task, Code.OK), **WHERE)
    LedgerXCom.purge(SimpleNamespace(key="log", dag_id="face_import", run_id="run", task_id="shard", map_index=1))
    assert catalogue.ledger.progress(task.id, 1).handled == 1
