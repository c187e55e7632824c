"""An import and its undo are killed: the group is exactly what it was, and a later import keeps what it has."""

from typing import Any

import pytest

from tests.faults.conftest import Faults
from tests.faults.test_crashes import kill

ROWS = 900


def faces(faults: Faults) -> dict[str, str]:
    """Pictures in the group by face id."""
    return dict(faults.services.record(all=1)["faces"].get("staff", {}))


def ended(faults: Faults, task_id: str) -> dict[str, Any]:
    """What a task comes to once it is completed."""
    done = faults.stack.api.state(task_id, 3, 4, deadline_s=240)
    assert (done["state"], done["last_error"]) == (4, "")
    return done


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_group_is_what_it_was(faults: Faults) -> None:
    """Both lose the process of a shard, the undo twice; the second request for it answers the same id."""
    api, image = faults.stack.api, faults.images.image
    earlier = api.create(["uri,tag,id", *(f"{image(n=n)},t,before-{n}" for n in range(20)), f"{image(n=20)},t,"])
    api.ok(f"{earlier}/start")
    ended(faults, earlier)
    before = faces(faults)
    assert len(before) == 21

    ids = [*(f"before-{n}" for n in range(10)), *("" if n % 2 else f"new-{n}" for n in range(10, ROWS))]
    lines = [f"{image(n=1000 + n)},t,{face_id}" for n, face_id in enumerate(ids)]
    task_id = api.create(["uri,tag,id", *lines], thread_num=10)
    api.ok(f"{task_id}/start")
    api.handled(task_id, 100)
    kill(faults.until(faults.shard_processes)[0])
    done = ended(faults, task_id)
    assert done["errors"] == {"104": 10}
    assert len(faces(faults)) == len(before) + ROWS - 10

    undo = api.post(f"{task_id}/undo").json()["id"]
    assert api.post(f"{task_id}/undo").json() == {"id": undo}
    assert api.post(f"{task_id}/retry", json={}).status_code == 409
    for handled in (100, 400):
        api.handled(undo, handled)
        kill(faults.until(faults.shard_processes)[0])
    done = ended(faults, undo)
    assert (done["undoes"], done["success_num"], done["errors"]) == (task_id, ROWS - 10, {})
    assert faces(faults) == before
    assert api.post(f"{task_id}/undo").status_code == 409, "nothing is left"
