"""What-if: rows by code under other limits, and how measurements are distributed."""

import pytest
from flask.testing import FlaskClient

from face_import.catalogue import Catalogue
from face_import.contract import Code, Reason
from face_import.domain.models import Limits, Measurements, Outcome, OutcomeBatch
from tests.conftest import MakeTask


@pytest.fixture
def task_id(catalogue: Catalogue, make_task: MakeTask) -> str:
    """A task with the limits yaw 30 and width 80; seven of its ten rows are handled."""
    task = make_task(limits=Limits(pos_yaw=30, width=80))
    catalogue.leases.take(task.id, 0, "me", 10)
    wide, posed = Measurements(1, 0.9, 100, 100), Measurements(1, 0.9, 100, 100, 0.0, 10.0, 0.0)
    turned = Measurements(1, 0.9, 100, 100, 0.0, 41.0, 0.0)
    rows = [
        (Code.OK, "", posed, None),
        (Code.WIDTH, "width 60 px is below 80 px", Measurements(1, 0.9, 60, 100), None),
        (Code.YAW, "yaw 41.0° exceeds 30°", turned, None),
        (Code.YAW, "pose unknown", Measurements(*wide_of(wide), pose_unknown=True), Reason.POSE_UNKNOWN),
        (Code.WIDTH, "the face library refuses the face (face size < 200)", posed, None),
        (Code.NO_FACE, "no face found", Measurements(faces=0), None),
        (Code.URI_UNREACHABLE, "404 Not Found", Measurements(), Reason.NOT_FOUND),
    ]
    outcomes = tuple(
        Outcome(number, "http://x", code, text, "" if code else f"id-{number}", measurements=measured, reason=reason)
        for number, (code, text, measured, reason) in enumerate(rows, 1)
    )
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    return task.id


def wide_of(measured: Measurements) -> tuple[int | None, float | None, int | None, int | None]:
    """What is measured before the pose."""
    return measured.faces, measured.score, measured.width, measured.height


OTHERS = {"101": 1, "201": 1, "205": 1}


@pytest.mark.parametrize(
    ("limits", "counts"),
    [
        ({}, (1, {"203": 2, "205": 1}, 0)),
        ({"pos_yaw": None, "width": ""}, (1, {"203": 2, "205": 1}, 0)),
        ({"pos_yaw": 45}, (2, {"203": 1, "205": 1}, 0)),
        ({"pos_yaw": 0}, (3, {"205": 1}, 0)),
        ({"width": 50}, (1, {"203": 2}, 1)),
        ({"width": 0, "pos_yaw": 0}, (4, {}, 0)),
        ({"width": 101}, (0, {"205": 4}, 0)),
        ({"blur_degree": 50}, (0, {"203": 2, "205": 1}, 1)),
        ({"pos_pitch": 10, "pos_yaw": 0}, (2, {"202": 1, "205": 1}, 0)),
    ],
    ids=str,
)
def test_rows_are_judged_by_other_limits(
    client: FlaskClient, task_id: str, limits: dict[str, object], counts: tuple[int, dict[str, int], int]
) -> None:
    """Limits that are left out are the task's own; what failed otherwise stays as it is."""
    answer = client.post(f"/v1/tasks/{task_id}/judge", json=limits).json
    given = {name: limit for name, limit in limits.items() if isinstance(limit, int)}
    own = {"pos_pitch": 0, "pos_yaw": 30, "pos_rol": 0, "width": 80, "height": 0, "blur_degree": 0, "faces": 0}
    assert answer == {
        "limits": own | given,
        "handled_num": 7,
        "success_num": counts[0],
        "errors": counts[1],
        "unmeasured_num": counts[2],
        "other_errors": OTHERS,
    }


def test_measurements_are_counted(client: FlaskClient, task_id: str) -> None:
    """By bins over what is measured; for whole numbers no bin is narrower than 1."""
    yaw = client.get(f"/v1/tasks/{task_id}/measurements?of=yaw&bins=4").json
    expected = {"edges": [-180.0, -90.0, 0.0, 90.0, 180.0], "counts": [0, 0, 3, 0], "unmeasured_num": 4}
    assert yaw == {"of": "yaw", **expected}
    faces = client.get(f"/v1/tasks/{task_id}/measurements?of=faces").json
    assert faces == {"of": "faces", "edges": [0, 1, 2], "counts": [1, 5], "unmeasured_num": 1}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"pos_yaw": 181}, "pos_yaw: "),
        ({"pos_yaw": -1}, "pos_yaw: "),
        ({"pos_yaw": "30"}, "pos_yaw: "),
        ({"pos_yaw": True}, "pos_yaw: "),
        ({"yaw": 30}, "yaw: "),
        ([], "body: "),
    ],
    ids=str,
)
def test_limits_that_cannot_be_are_refused(client: FlaskClient, task_id: str, body: object, said: str) -> None:
    """The answer names the limit."""
    answer = client.post(f"/v1/tasks/{task_id}/judge", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert answer.json["error"].startswith(said)


@pytest.mark.parametrize("query", ["", "of=code", "of=yaw&bins=0", "of=yaw&bins=1001", "of=yaw&from=0"])
def test_what_is_not_measured_is_refused(client: FlaskClient, task_id: str, query: str) -> None:
    """Unknown measurements and absurd numbers of bins are 400."""
    assert client.get(f"/v1/tasks/{task_id}/measurements?{query}").status_code == 400


def test_a_task_that_is_not_there_has_no_measurements(client: FlaskClient) -> None:
    """404, as everywhere."""
    assert client.post("/v1/tasks/AAAAAAAAAAAA/judge", json={}).status_code == 404
    assert client.get("/v1/tasks/AAAAAAAAAAAA/measurements?of=yaw").status_code == 404


def test_new_limits_are_counted_before_they_are_applied(
    client: FlaskClient, catalogue: Catalogue, make_task: MakeTask, task_id: str
) -> None:
    """Neither a preview changes anything, nor limits while Airflow is away; a running task is refused."""
    ask = lambda **body: client.post(f"/v1/tasks/{task_id}/limits", json=body)  # noqa: E731 - asked six times
    assert ask(preview=True).status_code == 409, "it is running"
    catalogue.tasks.stop(task_id)
    catalogue.leases.give_back(task_id, 0, "me", in_doubt=False)
    counts = {"reopened": 0, "removed": 0, "rejudged": 0, "unmeasured": 0}
    assert ask(preview=True).json == counts | {"reopened": 1}, "a 205 without the reason refused, of an earlier release"
    assert ask(width=50, preview=True).json == counts | {"reopened": 2}
    assert ask(pos_yaw=5, width="", preview=True).json == counts | {"rejudged": 1, "removed": 1}
    answer = ask(width=50)
    assert (answer.status_code, answer.json["code"]) == (503, "airflow_unavailable")
    detail = client.get(f"/v1/tasks/{task_id}/detail").json
    assert (detail["state"], detail["handled_num"], detail["config"]["width"]) == (3, 7, 80)


@pytest.mark.parametrize(
    "body",
    [{"dry_run": True}, {"dry_run": 0}, {"width": -1}, {"width": "x"}, {"pos_yaw": 181}, {"codes": []}, [], None],
)
def test_new_limits_that_cannot_be_are_refused(client: FlaskClient, task_id: str, body: object) -> None:
    """With the field's name, and before anything is looked at."""
    answer = client.post(f"/v1/tasks/{task_id}/limits", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
