"""thread_num is exact: alone, beside another task, after a change, with a pool that somebody set in Airflow."""

import time
from contextlib import suppress

import pytest

from face_import.domain.identity import pool_of_run
from face_import.domain.planning import Pool
from face_import.errors import AirflowError
from tests.faults.conftest import Faults


def test_two_tasks_have_their_own_threads(faults: Faults) -> None:
    """Neither of two tasks at once ever exceeds its thread_num, and both see nearly theirs."""
    faults.services.control(delay_s=0.4)
    few, many = faults.create(60, label="few", thread_num=3), faults.create(800, label="many", thread_num=33)
    for task_id in (few, many):
        faults.stack.api.ok(f"{task_id}/start")
    faults.completes(few, 60)
    faults.completes(many, 800)
    most = faults.services.record()["max_in_flight_by_task"]
    assert (most["few"], most["many"]) == (3, 33)
    assert faults.services.record(task="few")["mean_in_flight"] >= 0.9 * 3
    assert faults.services.record(task="many")["mean_in_flight"] >= 0.75 * 33


def test_fewer_threads_hold_within_three_seconds(faults: Faults) -> None:
    """A smaller thread_num on a running task holds after 3 s and the rows in flight."""
    faults.services.control(delay_s=0.2)
    task_id = faults.started(1200, thread_num=30)
    assert faults.stack.api.post(f"{task_id}/config", json={"thread_num": 4}).status_code == 200
    changed = time.time()
    faults.until(lambda: time.time() > changed + 3.0)
    faults.stack.api.handled(task_id, faults.stack.api.detail(task_id)["handled_num"] + 40)
    late = [c for c in faults.services.record(all=1)["list"] if c["start"] > changed + 3.0]
    assert len(late) > 20
    assert max(sum(1 for o in late if o["start"] <= c["start"] < o["end"]) for c in late) <= 4
    faults.stack.api.post(f"{task_id}/config", json={"thread_num": 40})
    faults.completes(task_id, 1200)


def set_pool(faults: Faults, name: str, slots: int) -> None:
    """Change a pool as a person does, who tries again when Airflow on SQLite answers that its database is locked."""

    def changed() -> bool:
        with suppress(AirflowError):
            faults.stack.airflow.set_pool(Pool(name, slots, "changed by a test"))
            return True
        return False

    faults.until(changed, 90)


@pytest.mark.parametrize(
    "slots", [1, pytest.param(5, marks=pytest.mark.slow)], ids=["one slot", "more slots than shards need"]
)
def test_any_pool_works_and_zero_pauses(faults: Faults, slots: int) -> None:
    """0 slots pause an import within seconds, any other number goes on, none starves it."""
    task_id = faults.started(1500, thread_num=10)
    pool = pool_of_run(task_id)
    set_pool(faults, pool, 0)
    faults.until(lambda: faults.services.record()["in_flight"] == 0)
    paused = faults.stack.api.handled(task_id, faults.services.record()["groups"]["staff"])
    assert (paused["state"], paused["handled_num"] < 1500) == (2, True)
    set_pool(faults, pool, slots)
    faults.completes(task_id, 1500)
    assert faults.services.record()["max_in_flight"] <= 10


@pytest.mark.slow
@pytest.mark.parametrize(("thread_num", "rows", "delay_s"), [(1, 60, 0.2), (8, 400, 0.4), (200, 5000, 2.0)])
def test_nearly_all_threads_are_used(faults: Faults, thread_num: int, rows: int, delay_s: float) -> None:
    """On a task long enough the mean in flight is at least 0.9 of thread_num, and never above it."""
    faults.services.control(delay_s=delay_s)
    task_id = faults.create(rows, label="t", thread_num=thread_num)
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, rows)
    seen = faults.services.record(task="t")
    assert seen["max_in_flight_by_task"]["t"] == thread_num
    middle = faults.services.record(task="t", since=seen["first_start"] + 3, until=seen["last_start"] - 3)
    assert middle["mean_in_flight"] >= 0.9 * thread_num
