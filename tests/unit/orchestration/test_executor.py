"""Our LocalExecutor: who starts next, and which slots are taken (ADR 36)."""

import ctypes
import multiprocessing
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.executors.local_executor import LocalExecutor
from airflow.executors.workloads import ExecuteTask
from airflow.executors.workloads.task import TaskInstanceDTO
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.utils.state import TaskInstanceState

from face_import.orchestration.executor import KEPT, FairLocalExecutor

SLOTS = 4


def made(kind: type[LocalExecutor], monkeypatch: pytest.MonkeyPatch) -> Any:
    """An executor without its processes."""
    monkeypatch.setattr(kind, "_check_workers", lambda _self: None)
    executor = kind(parallelism=SLOTS)  # type: ignore[no-untyped-call]
    executor.activity_queue = cast("Any", SimpleNamespace(put=lambda _workload: None))
    executor._unread_messages = multiprocessing.Value(ctypes.c_uint)
    return executor


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> FairLocalExecutor:
    """Ours."""
    return cast("FairLocalExecutor", made(FairLocalExecutor, monkeypatch))


def queue(executor: Any, run: str, task: str = "shard", number: int = -1, weight: int = 1) -> TaskInstanceKey:
    """Queue a task instance, as the scheduler does."""
    names = {"dag_id": "face_import", "run_id": run, "task_id": task, "try_number": 1, "map_index": number}
    ti = TaskInstanceDTO.model_construct(**names, pool_slots=1, priority_weight=weight)  # type: ignore[arg-type]
    executor.queued_tasks[ti.key] = ExecuteTask.model_construct(ti=ti)
    return ti.key


def started(executor: Any) -> list[tuple[str, str, int]]:
    """What an executor starts at its next look."""
    before = set(executor.running)
    chosen = [(key.run_id, key.task_id, key.map_index) for key, _ in executor.order_queued_tasks_by_priority()]
    executor.trigger_tasks(executor.parallelism - len(executor.running))
    assert {(key.run_id, key.task_id, key.map_index) for key in executor.running - before} == set(chosen)
    return chosen


def test_one_run_gets_all_slots_but_the_kept_one(executor: FairLocalExecutor) -> None:
    """What comes next starts at once, however much is queued before it; the kept slot is then used."""
    for number in range(9):
        queue(executor, "large", number=number)
    assert started(executor) == [("large", "shard", number) for number in range(SLOTS)]
    assert started(executor) == []
    small = queue(executor, "small", "plan", weight=100)
    queue(executor, "third", "plan", weight=100)
    assert started(executor) == [("small", "plan", -1)]
    assert started(executor) == []
    executor.change_state(small, TaskInstanceState.SUCCESS)
    assert started(executor) == [("third", "plan", -1)]


def test_a_slot_goes_to_the_run_that_has_the_fewest(executor: FairLocalExecutor) -> None:
    """So that runs of any size come to have as many each."""
    for number in range(9):
        queue(executor, "large", number=number)
    running = started(executor)
    for number in range(9):
        queue(executor, "other", number=number)
    assert started(executor) == [("other", "shard", 0)]
    for _run, _task, number in running[:2]:
        executor.change_state(TaskInstanceKey("face_import", "shard", "large", 1, number), TaskInstanceState.SUCCESS)
    assert started(executor) == [("other", "shard", 1)]


def test_priority_decides_among_equals_and_then_who_came_first(executor: FairLocalExecutor) -> None:
    """As in Airflow."""
    for run in ("one", "two", "three", "four", "six"):
        queue(executor, run, number=0)
    queue(executor, "five", "finish", weight=100)
    assert [run for run, _, _ in started(executor)] == ["five", "one", "two", "three", "four"]


def test_the_same_task_instance_is_not_started_beside_itself(executor: FairLocalExecutor) -> None:
    """One that was rescheduled may be queued again before the end of its process is known; it starts after that."""
    key = queue(executor, "small")
    assert started(executor) == [("small", "shard", -1)]
    queue(executor, "small")
    assert started(executor) == []
    executor.change_state(key, TaskInstanceState.SUCCESS)
    assert started(executor) == [("small", "shard", -1)]


def test_the_scheduler_hands_over_all_that_waits(executor: FairLocalExecutor) -> None:
    """It asks how much it may queue."""
    for number in range(9):
        queue(executor, "large", number=number)
    started(executor)
    assert (executor.slots_available, executor.slots_occupied) == (SLOTS + KEPT, 0)


def test_airflow_does_not_note_what_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, Airflow has fixed its LocalExecutor: `_process_workloads` of ours can go."""
    executor = made(LocalExecutor, monkeypatch)
    queue(executor, "large")
    executor.trigger_tasks(1)
    assert (executor.queued_tasks, executor.running) == ({}, set())
