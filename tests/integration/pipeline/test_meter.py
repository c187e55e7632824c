"""What a try tells its observer: rows by code, time under way, calls, and how long a stop took."""

import logging
from collections import Counter

import pytest

from face_import.contract import Code
from face_import.errors import TaskStopped
from face_import.pipeline.meter import Calls, Measured
from face_import.pipeline.shard import ShardImport
from tests.integration.pipeline.conftest import Bench
from tests.integration.pipeline.test_shard import lines
from tests.waiting import eventually


def total(told: list[Measured]) -> Measured:
    """All that was told, as if at once."""
    whole = Measured()
    for one in told:
        whole.rows.update(one.rows)
        whole.row_seconds += one.row_seconds
        whole.stop_seconds = one.stop_seconds if one.stop_seconds is not None else whole.stop_seconds
        for service, calls in one.calls.items():
            sum_ = whole.calls.setdefault(service, Calls())
            sum_.number += calls.number
            sum_.unanswered += calls.unanswered
            sum_.seconds += calls.seconds
            sum_.slowest = max(sum_.slowest, calls.slowest)
    return whole


async def test_rows_calls_and_times_add_up(bench: Bench) -> None:
    """Each row and each call is told once; rows that took time took that time."""
    bench.services.control(delay_s=0.05)
    task = bench.task(lines(bench, 60, bad={7, 9}))
    told: list[Measured] = []
    await bench.run(task, observe=told.append)
    whole, seen = total(told), bench.services.record()["by_kind"]
    assert whole.rows == Counter({Code.OK: 58, Code.NO_FACE: 2})
    assert {service: calls.number for service, calls in whole.calls.items()} == {"info": seen["detect"], "library": 58}
    assert all(calls.slowest >= 0.05 and calls.seconds >= 0.05 * calls.number for calls in whole.calls.values())
    assert whole.row_seconds >= sum(calls.seconds for calls in whole.calls.values())
    assert whole.stop_seconds is None


async def test_a_try_says_little(bench: Bench) -> None:
    """It tells about once a second, whatever the number of rows."""
    task = bench.task(lines(bench, 400), thread_num=40)
    told: list[Measured] = []
    await bench.run(task, observe=told.append)
    assert total(told).rows == Counter({Code.OK: 400})
    assert len(told) < 100


async def test_a_stop_is_told_with_its_length(bench: Bench) -> None:
    """The rows in flight held it up for as long as they took."""
    bench.services.control(delay_s=0.4)
    task = bench.task(lines(bench, 300))
    told: list[Measured] = []

    async def stop(attempt: ShardImport) -> None:
        await eventually(lambda: bench.services.record()["in_flight"] >= 5)
        bench.catalogue.tasks.stop(task.id)

    with pytest.raises(TaskStopped):
        await bench.run(task, use=stop, observe=told.append)
    whole = total(told)
    assert whole.stop_seconds is not None
    assert 0 < whole.stop_seconds < bench.settings.stop_grace_s + 1
    assert sum(whole.rows.values()) == bench.catalogue.ledger.progress(task.id).handled


async def test_calls_without_an_answer_are_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A service that is away is counted, and the log's line says which row of which shard met it first."""
    caplog.set_level(logging.INFO, "face_import")
    bench.services.control(faults=[{"kind": "detect", "status": 503}])
    task = bench.task(lines(bench, 2), thread_num=1)
    told: list[Measured] = []
    await bench.run(task, observe=told.append)
    whole = total(told)
    assert whole.rows == Counter({Code.INFO_UNAVAILABLE: 2})
    assert whole.calls["info"].unanswered == whole.calls["info"].number > 2
    (line,) = {m for m in caplog.messages if m.startswith("service unavailable")}
    assert f"service=info task={task.id} shard=0 row=1 error=" in line
