"""Stop, start, delete, and Airflow's own buttons, in the order in which people press them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from face_import.contract import DAG_ID
from tests.faults.conftest import Faults


def test_start_right_after_stop_never_overlaps(faults: Faults) -> None:
    """The new attempt waits for the old one's rows: no row is added twice, T is never exceeded."""
    task_id = faults.started(1000, thread_num=12)
    for _ in range(3):
        faults.stack.api.ok(f"{task_id}/stop")
        faults.stack.api.ok(f"{task_id}/start")
        faults.stack.api.handled(task_id, faults.stack.api.detail(task_id)["handled_num"] + 20)
    faults.completes(task_id, 1000)
    seen = faults.services.record()
    assert seen["max_in_flight"] <= 12
    assert seen["by_kind"]["add"] == 1000
    assert max(faults.images.record(paths=1)["paths"].values()) == 1


def test_after_a_stop_nothing_starts(faults: Faults) -> None:
    """No image is fetched and no face added that was not in flight when stop was answered; Airflow calls it failed."""
    faults.services.control(delay_s=0.3)
    task_id = faults.started(800, thread_num=20)
    faults.stack.api.ok(f"{task_id}/stop")
    answered, fetched = time.time(), faults.images.record()["fetches"]
    faults.until(lambda: faults.stack.catalogue.leases.live(task_id) == 0)
    calls = faults.services.record(all=1)["list"]
    assert not [c for c in calls if c["kind"] == "detect" and c["start"] > answered + 0.1]
    assert faults.images.record()["fetches"] == fetched
    assert faults.stack.api.detail(task_id)["handled_num"] == faults.services.record()["groups"]["staff"]
    faults.accounts(task_id)
    faults.until(lambda: faults.stack.run_state(task_id) == "failed")
    assert faults.stack.rest(f"dags/face_import/dagRuns/{task_id}/taskInstances/finish")["state"] == "failed"


def test_two_deletes_at_once(faults: Faults) -> None:
    """One delete succeeds, the other is told that there is no such task; nothing is left."""
    task_id = faults.started(1000, thread_num=10)
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda _: faults.stack.api.get(f"{task_id}/delete").status_code, range(2))
    assert sorted(answers) == [200, 404]
    faults.until(lambda: faults.stack.catalogue.tasks.peek(task_id) is None)
    assert faults.stack.run_state(task_id) is None


@pytest.mark.parametrize(
    "when",
    ["created", pytest.param("stopped", marks=pytest.mark.slow), pytest.param("completed", marks=pytest.mark.slow)],
)
def test_delete_in_other_states(faults: Faults, when: str) -> None:
    """A task that does not run is deleted just as well."""
    task_id = faults.create(20)
    if when != "created":
        faults.stack.api.ok(f"{task_id}/start")
        faults.completes(task_id, 20)
    if when == "stopped":
        task_id = faults.started(600)
        faults.stack.api.ok(f"{task_id}/stop")
    faults.stack.api.ok(f"{task_id}/delete")
    assert faults.stack.api.get(f"{task_id}/detail").status_code == 404
    faults.until(lambda: faults.stack.catalogue.tasks.peek(task_id) is None)
    assert not (faults.stack.settings.home / "storage" / "sources" / task_id).exists()


@pytest.mark.slow
def test_a_run_deleted_in_airflow_can_be_started_again(faults: Faults) -> None:
    """Without its run the task is stopped; a start makes a new run for the rest."""
    task_id = faults.started(1000, thread_num=10)
    faults.stack.airflow.fail_run(task_id)
    assert faults.stack.airflow.delete_run(task_id)
    faults.stack.api.state(task_id, 3)
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, 1000)
    assert faults.services.record()["by_kind"]["add"] == 1000


@pytest.mark.slow
def test_a_run_marked_successful_is_no_completed_task(faults: Faults) -> None:
    """Rows are missing: the task is stopped with a reason, and can be started again."""
    task_id = faults.started(1000, thread_num=10)
    path = f"/dags/{DAG_ID}/dagRuns/{task_id}"
    faults.stack.airflow._call("PATCH", path, {"state": "success"})
    assert "before all rows were handled" in faults.stack.api.state(task_id, 3, 4)["last_error"]
    faults.until(lambda: faults.stack.catalogue.leases.live(task_id) == 0)
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, 1000)


def test_shards_cleared_in_airflow_resume(faults: Faults) -> None:
    """Clearing the failed shards of a stopped import goes on; rows in the ledger are not done again."""
    task_id = faults.started(1000, thread_num=10)
    faults.stack.api.ok(f"{task_id}/stop")
    faults.until(lambda: faults.stack.catalogue.leases.live(task_id) == 0)
    body = {"dag_run_id": task_id, "dry_run": False, "only_failed": False, "task_ids": ["shard", "finish"]}
    faults.stack.airflow._call("POST", f"/dags/{DAG_ID}/clearTaskInstances", body)
    faults.stack.api.state(task_id, 2, 4)
    faults.completes(task_id, 1000)
    assert faults.services.record()["by_kind"]["add"] == 1000


@pytest.mark.slow
def test_a_clear_that_nobody_heard_of_resumes_all_the_same(faults: Faults) -> None:
    """The catalogue is locked when Airflow sets the cleared run running: the keeper finds out, and no row is lost."""
    task_id = faults.started(600, thread_num=10)
    faults.stack.api.ok(f"{task_id}/stop")
    faults.until(lambda: faults.stack.catalogue.leases.live(task_id) == 0)
    with faults.stack.catalogue.engine.begin():
        body = {"dag_run_id": task_id, "dry_run": False, "only_failed": False, "task_ids": ["shard", "finish"]}
        faults.stack.airflow._call("POST", f"/dags/{DAG_ID}/clearTaskInstances", body)
        faults.until(lambda: faults.stack.run_state(task_id) == "running")
        held = time.monotonic()
        faults.until(lambda: time.monotonic() - held > 1)
    faults.stack.api.state(task_id, 2, 4)
    faults.completes(task_id, 600)
    assert faults.services.record()["by_kind"]["add"] == 600


def test_the_first_plan_stands_after_changes(faults: Faults) -> None:
    """Another thread_num between stop and start changes the parallelism, never the shards."""
    task_id = faults.started(1300, thread_num=10)
    shards = faults.stack.catalogue.plans.shards(task_id)
    faults.stack.api.ok(f"{task_id}/stop")
    assert faults.stack.api.post(f"{task_id}/config", json={"thread_num": 40}).status_code == 200
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, 1300)
    assert faults.stack.catalogue.plans.shards(task_id) == shards


@pytest.mark.slow
def test_a_shard_that_dies_for_good_is_an_honest_end(faults: Faults) -> None:
    """Its source cannot be read however often it tries: run failed, state 3 and what to do; mended, all is done."""
    task_id = faults.started(600, thread_num=10)
    faults.stack.api.ok(f"{task_id}/stop")
    (source,) = (faults.stack.settings.home / "storage" / "sources" / task_id).glob("*.csv")
    aside = source.rename(source.with_suffix(".aside"))
    source.mkdir()
    faults.stack.api.ok(f"{task_id}/start")
    ended = faults.stack.api.state(task_id, 3, 4, deadline_s=240)
    assert (ended["state"], ended["errors"]) == (3, {})
    assert "did not finish: 0 (rows 1-" in ended["last_error"]
    assert "start the task again" in ended["last_error"]
    faults.until(lambda: faults.stack.run_state(task_id) == "failed")
    source.rmdir()
    aside.rename(source)
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, 600)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stop_is_quick_on_a_task_of_500_shards(faults: Faults) -> None:
    """Ten stops of a running 500-shard task: all but the slowest answer within 3 s."""
    faults.services.control(delay_s=0.5)
    base = faults.images.url
    task_id = faults.stack.api.create([f"{base}/ok/{n}.jpg,," for n in range(2_500_000)], thread_num=20)
    seconds = []
    for _ in range(10):
        faults.stack.api.ok(f"{task_id}/start")
        faults.until(faults.shard_processes, 90)
        began = time.monotonic()
        faults.stack.api.ok(f"{task_id}/stop")
        seconds.append(time.monotonic() - began)
        faults.until(lambda: faults.stack.catalogue.leases.live(task_id) == 0)
    assert len(faults.stack.catalogue.plans.shards(task_id)) == 500
    assert sorted(seconds)[-2] < 3.0, seconds
    faults.accounts(task_id)
    faults.stack.api.ok(f"{task_id}/delete")
    faults.until(lambda: faults.stack.catalogue.tasks.peek(task_id) is None)
