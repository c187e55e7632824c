"""New limits change exactly the rows that they concern, though whoever applies them is killed in the middle of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from face_import.catalogue.schema import outcome, tally
from face_import.contract import Code
from tests.faults.conftest import Faults
from tests.faults.test_crashes import kill
from tests.faults.test_every_process import everything_runs

NARROW, WIDE, FAILED = 100, 100, 100_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_limits_whose_appliers_are_killed(faults: Faults) -> None:
    """First the API while it reopens, then the processes that remove faces: none is lost, none doubled, none too many.

    The many failed rows have no uri; the ledger is made to say that a limit is why they failed.
    """
    api, image = faults.stack.api, faults.images.image
    box = lambda size: [{"box": [10, 10, 10 + size, 10 + size]}]  # noqa: E731 - used twice
    lines = [f"{image(n=n, faces=box(40))},t{n},d" for n in range(NARROW)]
    lines += [f"{image(n=n, faces=box(160))},t{n},d" for n in range(NARROW, NARROW + WIDE)]
    lines += [f",t{n},d" for n in range(FAILED)]
    task_id = api.create(["uri,tag,description", *lines], thread_num=20)
    api.ok(f"{task_id}/start")
    api.state(task_id, 4, deadline_s=240)
    with faults.stack.catalogue.engine.begin() as connection:
        failed = (outcome.c.task_id == task_id, outcome.c.code == Code.URI_UNREACHABLE)
        connection.execute(update(outcome).where(*failed).values(code=Code.WIDTH, width=80, reason=""))
        counted = (tally.c.task_id == task_id, tally.c.code == Code.URI_UNREACHABLE)
        connection.execute(update(tally).where(*counted).values(code=Code.WIDTH))

    limits = {"width": 60}
    count = {"reopened": FAILED, "removed": NARROW, "rejudged": 0, "unmeasured": 0}
    assert api.post(f"{task_id}/limits", json=limits | {"preview": True}).json() == count
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(api.post, f"{task_id}/limits", json=limits)
        faults.until(lambda: faults.stack.catalogue.ledger.progress(task_id).handled < len(lines))
        kill(*faults.processes("gunicorn:", "face_console"))
        assert asked.exception(60) is not None
    faults.until(lambda: everything_runs(faults), 120)
    left = api.detail(task_id)
    assert (left["state"], left["config"]["width"]) == (3, 60)
    assert 0 < left["handled_num"] < len(lines)
    assert "apply the limits again" in left["last_error"]

    faults.services.control(delay_s={"delete": 1.0})
    again = lambda: api.post(f"{task_id}/limits", json=limits).json().get("reopened")  # noqa: E731
    assert faults.until(again, 90) == left["errors"]["205"], "409 until the lock of the killed one expires"
    faults.until(lambda: faults.services.record()["by_kind"].get("delete", 0) > 20, 120)
    kill(*faults.shard_processes())
    faults.services.control()
    done = api.state(task_id, 4, deadline_s=300)
    assert (done["success_num"], done["errors"]) == (WIDE, {"101": FAILED, "205": NARROW})
    faults.accounts(task_id)
    assert faults.services.record()["groups"]["staff"] == WIDE
