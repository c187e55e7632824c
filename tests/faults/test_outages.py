"""Outages are not bad rows: what the face services do wrong for a while costs nothing, or only the rows in flight."""

import time

import pytest

from tests.faults.conftest import Faults


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        pytest.param({"status": 500}, marks=pytest.mark.slow),
        pytest.param({"action": "reset"}, marks=pytest.mark.slow),
        {"action": "hang"},
    ],
    ids=["503", "500", "reset", "hang"],
)
def test_an_outage_shorter_than_the_patience_costs_no_row(faults: Faults, fault: dict[str, object]) -> None:
    """For some seconds every call fails in that way; then the import goes on as if nothing had been."""
    task_id = faults.started(600, thread_num=10)
    faults.services.control(delay_s=0.05, faults=[{"kind": "*", **fault}])
    began = time.monotonic()
    faults.until(lambda: time.monotonic() - began > 2)  # what was handled before is in the ledger by now
    handled = faults.stack.api.detail(task_id)["handled_num"]
    faults.until(lambda: time.monotonic() - began > 5)
    assert faults.stack.api.detail(task_id)["handled_num"] <= handled + 20
    faults.services.control(delay_s=0.05)
    faults.completes(task_id, 600)


def test_an_outage_beyond_the_patience_costs_the_rows_in_flight(faults: Faults) -> None:
    """Only rows then in flight are logged 302; the following ones wait and succeed."""
    task_id = faults.started(600, thread_num=10)
    faults.services.control(faults=[{"kind": "add", "status": 503}])
    faults.stack.api.when(task_id, lambda detail: detail["failed_num"] > 0, 40)
    faults.services.control()
    done = faults.stack.api.state(task_id, 4)
    assert set(done["errors"]) == {"302"}
    assert done["failed_num"] <= 10 + 2
    faults.accounts(task_id)


def test_a_group_that_vanishes_stops_the_task(faults: Faults) -> None:
    """Also in a later attempt the task stops with a text that says what to do, and blames no row."""
    task_id = faults.started(900, thread_num=5)
    faults.stack.api.ok(f"{task_id}/stop")
    faults.stack.api.ok(f"{task_id}/start")
    faults.stack.api.handled(task_id, faults.stack.api.detail(task_id)["handled_num"] + 10)
    faults.services.post("/v1/face/groups/staff/remove")
    stopped = faults.stack.api.state(task_id, 3, 4)
    assert "'staff' is no longer in the face library" in stopped["last_error"]
    assert (stopped["state"], stopped["failed_num"]) == (3, 0)
    faults.until(lambda: faults.stack.run_state(task_id) == "failed")


def test_429_and_retry_after_are_obeyed(faults: Faults) -> None:
    """Nobody who was told to wait two seconds calls again before, and no row is lost."""
    faults.services.control(delay_s=0.02, faults=[{"kind": "detect", "status": 429, "retry_after": 2, "times": 5}])
    task_id = faults.create(100, thread_num=5)
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, 100)
    calls = faults.services.record(all=1)["list"]
    for refused in (c for c in calls if c["status"] == 429):
        again = min(c["start"] for c in calls if c["sha256"] == refused["sha256"] and c["start"] > refused["end"])
        assert again - refused["end"] >= 1.95


@pytest.mark.slow
def test_a_killed_library_keeps_every_face(faults: Faults) -> None:
    """Kill -9 of the library (and info) service and a restart some seconds later cost no row and double none."""
    task_id = faults.started(600, thread_num=10)
    faults.services.kill()
    began = time.monotonic()
    faults.until(lambda: time.monotonic() - began > 4)
    faults.services.start()
    faults.completes(task_id, 600)
