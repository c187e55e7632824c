"""A task instance that Airflow ends before its work has begun."""

import asyncio
import os
import signal
from uuid import uuid4

import pytest

from face_import.errors import Interrupted
from face_import.orchestration.dag import tasks
from face_import.orchestration.dag.operators import InterruptibleTask
from tests.integration.pipeline.conftest import Bench


def test_a_request_to_end_that_came_early_is_not_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's handler hears the signal before ours is there: no row starts, and the lease is given back."""
    monkeypatch.setattr(InterruptibleTask, "asked_to_end", False)
    operator = InterruptibleTask(task_id="shard", python_callable=tasks.shard, op_args=(), op_kwargs={"number": 0})
    before = signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())  # what Airflow's handler does
    task = bench.task([f"{bench.images.image(n=n)},t,d" for n in range(30)])
    (part,) = bench.catalogue.plans.shards(task.id)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            asyncio.run(
                tasks._import_shard(
                    task, part, str(uuid4()), bench.catalogue.ledger.write, bench.catalogue, bench.settings
                )
            )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert bench.images.record()["fetches"] == 0
    assert bench.catalogue.ledger.progress(task.id).handled == 0
    assert bench.catalogue.leases.live(task.id) == 0
