"""A retry does exactly the failed rows again, though the program that reopens them is killed in the middle of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import Faults
from tests.faults.test_crashes import kill
from tests.faults.test_every_process import everything_runs

BAD, GOOD = 100_000, 300


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_reopening_that_is_killed(faults: Faults) -> None:
    """Good rows are before very many without a uri; a second retry finishes what the first began."""
    api, image = faults.stack.api, faults.images.image
    lines = [*(f"{image(n=n)},t{n},d" for n in range(GOOD)), *(f",t{n},d" for n in range(BAD))]
    total = len(lines)
    task_id = api.create(["uri,tag,description", *lines], thread_num=20)
    api.ok(f"{task_id}/start")
    assert api.state(task_id, 4, deadline_s=240)["errors"] == {"101": BAD}

    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(api.post, f"{task_id}/retry", json={"codes": [101]})
        faults.until(lambda: faults.stack.catalogue.ledger.progress(task_id).handled < total)
        kill(*faults.processes("gunicorn:", "face_console"))
        assert asked.exception(60) is not None
    faults.until(lambda: everything_runs(faults), 120)
    left = api.detail(task_id)
    assert left["state"] == 3
    assert GOOD < left["handled_num"] < total
    assert "retry again" in left["last_error"]

    again = lambda: api.post(f"{task_id}/retry", json={}).json().get("rows")  # noqa: E731
    assert faults.until(again, 90) == left["errors"]["101"], "409 until the lock of the killed one expires"
    done = api.state(task_id, 4, deadline_s=240)
    assert (done["handled_num"], done["success_num"], done["errors"]) == (total, GOOD, {"101": BAD})
    faults.accounts(task_id)


def test_only_what_failed_runs_again(faults: Faults) -> None:
    """A host was missing pictures and has them now: only the shards concerned are tried again, each face added once."""
    faults.services.control(delay_s=0.02)
    host = faults.images.host("mended", status=404)
    lines = [f"{faults.images.image(n=n)},t{n},d" for n in range(1200)]
    lines[5] = f"{host.image(n=5)},t5,d"
    task_id = faults.stack.api.create(lines, thread_num=20)
    faults.stack.api.ok(f"{task_id}/start")
    assert faults.stack.api.state(task_id, 4, deadline_s=240)["errors"] == {"101": 1}
    host.switch()
    assert faults.stack.api.post(f"{task_id}/retry", json={"codes": [101], "preview": True}).json() == {"rows": 1}
    assert faults.stack.api.post(f"{task_id}/retry", json={"codes": [101]}).json() == {"rows": 1}
    faults.completes(task_id, len(lines))
    run = f"dags/face_import/dagRuns/{task_id}/taskInstances"
    tries = {ti["map_index"]: ti["try_number"] for ti in faults.stack.rest(run, task_id="shard")["task_instances"]}
    assert tries == {number: 1 + (number == 0) for number in tries}
    assert len(tries) > 1
