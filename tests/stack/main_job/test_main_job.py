"""The whole job on real Airflow: created through the API or Airflow's form, against the counting double."""

import csv
import io
import time

import pytest

from face_import.domain.identity import pool_of_run, task_id_of_run
from face_import.errors import WrongState
from tests.doubles.process import FaceServices, ImageHost
from tests.real import RealStack
from tests.waiting import until

FORM = {
    "group_name": "form",
    "thread_num": 10,
    "mode": 0,
    "pos_pitch": 0,
    "pos_yaw": 0,
    "pos_rol": 0,
    "width": 0,
    "height": 0,
    "blur_degree": 0,
}


def rows(images: ImageHost, count: int, bad: frozenset[int] = frozenset()) -> list[str]:
    """Rows with a picture each, without a face in those of `bad`."""
    return [f"{images.image(n=n, **({'faces': []} if n in bad else {}))},t{n},d" for n in range(1, count + 1)]


def test_an_import_from_create_to_log(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """Every row ends in the group or in the log, once, and all the endpoints agree about it."""
    lines = ["uri,tag,description", *rows(images, 1200, bad=frozenset({3, 700})), f"{images.url}/missing,=1+1,"]
    task_id = stack.api.create(lines, thread_num=12, pos_yaw=30)
    created = stack.api.detail(task_id)
    assert (created["state"], created["total_num"], created["handled_num"]) == (1, 1201, 0)
    stack.api.ok(f"{task_id}/start")
    done = stack.api.state(task_id, 3, 4)
    assert (done["state"], done["last_error"], done["errors"]) == (4, "", {"101": 1, "201": 2})
    assert done["success_num"] == 1198

    log = stack.api.get(f"{task_id}/log").json()
    assert [(e["row"], e["code"]) for e in log["logs"]] == [(3, 201), (700, 201), (1201, 101)]
    page = stack.api.get(f"{task_id}/log", skip=1, limit=1, code=201).json()
    assert (page["total_count"], [e["row"] for e in page["logs"]]) == (2, [700])
    download = stack.api.get(f"{task_id}/download_log")
    assert [row[1] for row in csv.reader(io.StringIO(download.text))] == ["201", "201", "101"]
    listed = stack.api.post("list", json={"group_name": "staff", "status": "4"}).json()
    assert task_id in listed["ids"]

    seen = services.record()
    assert seen["violations"] == []
    assert seen["max_in_flight"] <= 12
    assert (seen["by_kind"]["add"], seen["groups"]["staff"], seen["most_adds_of_an_id"]) == (1198, 1198, 1)
    assert max(images.record(paths=1)["paths"].values()) == 1
    assert stack.api.get(f"{task_id}/start").status_code == 409


def test_a_dry_run_of_a_sample(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """As many rows as asked for, from all over the file; the library hears nothing of it, and the rest is unhandled."""
    before = services.record()["by_kind"]
    task_id = stack.api.create(rows(images, 3000, bad=frozenset(range(1, 1501))), dry_run=1, sample=100)
    stack.api.ok(f"{task_id}/start")
    done = stack.api.state(task_id, 3, 4)
    assert (done["state"], done["last_error"], done["total_num"], done["handled_num"]) == (4, "", 100, 100)
    assert done["success_num"] == 50
    log = stack.api.get(f"{task_id}/log", limit=100).json()["logs"]
    assert {(row["row"] - 1) // 300 for row in log} == set(range(5))
    after = services.record()["by_kind"]
    assert {kind: calls - before.get(kind, 0) for kind, calls in after.items() if calls > before.get(kind, 0)} == {
        "detect": 100,
        "pose": 50,
    }
    rest = stack.api.get(f"{task_id}/download_rows", rows="unhandled").text
    assert len(rest.splitlines()) == 1 + 2900


def task_states(stack: RealStack, run_id: str) -> list[set[str]]:
    """States of the task instances of `plan`, `shard` and `finish` in a run."""
    instances = stack.rest(f"dags/face_import/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
    return [{ti["state"] for ti in instances if ti["task_id"] == task} for task in ("plan", "shard", "finish")]


def test_stop_and_start_again(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """A stop holds at once, a second one is refused, and a start does exactly the rest.

    In Airflow the run has failed, for which there is no other word, but what was running is skipped.
    """
    services.control(delay_s=0.05)
    task_id = stack.api.create(rows(images, 1500), thread_num=10)
    stack.api.ok(f"{task_id}/start")
    stack.api.handled(task_id, 100)
    began = time.monotonic()
    stack.api.ok(f"{task_id}/stop")
    answered = time.time()
    assert time.monotonic() - began < 5
    assert stack.api.detail(task_id)["state"] == 3
    assert stack.api.get(f"{task_id}/stop").status_code == 409
    until(lambda: stack.catalogue.leases.live(task_id) == 0)
    assert services.record()["last_start"] < answered + 0.2
    handled = stack.api.detail(task_id)["handled_num"]
    assert handled == services.record()["groups"]["staff"]
    until(lambda: stack.run_state(task_id) == "failed")
    plan, shards, finish = task_states(stack, task_id)
    assert (plan, shards - {"success"}, finish) == ({"success"}, {"skipped"}, {"failed"})
    stack.api.ok(f"{task_id}/start")
    assert stack.api.get(f"{task_id}/start").status_code == 409
    assert stack.api.state(task_id, 3, 4)["success_num"] == 1500
    assert services.record()["by_kind"]["add"] == 1500
    until(lambda: task_states(stack, task_id) == [{"success"}] * 3)
    assert max(images.record(paths=1)["paths"].values()) == 1


def test_mode_1_stops_and_goes_on(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """The first bad row stops the task with its last error, which a start clears; Airflow's run has ended."""
    task_id = stack.api.create(rows(images, 40, bad=frozenset({20})), thread_num=1, mode=1)
    stack.api.ok(f"{task_id}/start")
    stopped = stack.api.state(task_id, 3)
    assert stopped["last_error"].startswith("row 20: ")
    assert "201 no face found" in stopped["last_error"]
    assert stopped["handled_num"] == 20
    until(lambda: stack.run_state(task_id) == "failed")
    stack.api.ok(f"{task_id}/start")
    assert stack.api.detail(task_id)["last_error"] == ""
    assert stack.api.state(task_id, 3, 4)["success_num"] == 39


def test_a_start_right_after_mode_1_stopped(stack: RealStack, images: ImageHost) -> None:
    """The end of the old run, which is still under way in Airflow, does not stop the new attempt."""
    bad = frozenset({10, 20, 30})
    task_id = stack.api.create(rows(images, 40, bad=bad), thread_num=1, mode=1)
    for row in sorted(bad):
        stack.api.ok(f"{task_id}/start")
        stopped = stack.api.state(task_id, 3, 4)
        assert stopped["last_error"].startswith(f"row {row}: ")
        assert stopped["handled_num"] == row
    stack.api.ok(f"{task_id}/start")
    assert stack.api.state(task_id, 3, 4)["success_num"] == 37


def test_delete_while_it_runs(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """A deleted task is gone for every endpoint at once, and soon everywhere; its faces stay."""
    services.control(delay_s=0.05)
    task_id = stack.api.create(rows(images, 1000), thread_num=10)
    stack.api.ok(f"{task_id}/start")
    stack.api.handled(task_id, 50)
    stack.api.ok(f"{task_id}/delete")
    answered = time.time()
    for path in ("detail", "log", "download_log", "start", "stop", "delete"):
        assert stack.api.get(f"{task_id}/{path}").status_code == 404, path
    until(lambda: stack.catalogue.tasks.peek(task_id) is None, 60)
    assert stack.run_state(task_id) is None
    assert stack.airflow.pools(pool_of_run(task_id)) == {}
    assert not (stack.settings.home / "storage" / "sources" / task_id).exists()
    seen = services.record()
    assert seen["last_start"] < answered + 0.2
    assert seen["groups"]["staff"] >= 50


def test_a_run_from_airflows_form_is_an_import_task(
    stack: RealStack, services: FaceServices, images: ImageHost
) -> None:
    """The API lists, describes and logs it; failing it in Airflow stops it, clearing it there goes on."""
    services.control(delay_s=0.05)
    run_id = "manual__2026-01-01T00:00:00+00:00"
    stack.airflow.trigger(run_id, {**FORM, "source": f"{images.url}/csv?rows=1000"}, "")
    task_id = task_id_of_run(run_id)
    until(lambda: stack.catalogue.tasks.peek(task_id))
    assert stack.api.handled(task_id, 50)["dag_run_id"] == run_id
    assert stack.api.post("list", json={"group_name": "form"}).json()["ids"] == [task_id]
    stack.airflow.fail_run(run_id)
    assert "failed" in stack.api.state(task_id, 3)["last_error"]
    until(lambda: stack.catalogue.leases.live(task_id) == 0)
    stack.airflow.clear(run_id, ["plan", "shard", "finish"])
    assert stack.api.state(task_id, 4)["success_num"] == 1000
    assert services.record()["by_kind"]["add"] == 1000


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("/missing", "404 Not Found"),
        ("/empty", "no rows"),
    ],
    ids=["missing", "empty"],
)
def test_a_bad_source_ends_the_run_with_a_reason(stack: RealStack, images: ImageHost, source: str, reason: str) -> None:
    """What is wrong with a form's source is the task's last error, and Airflow's run has failed."""
    run_id = f"manual__{time.time()}"
    stack.airflow.trigger(run_id, {**FORM, "source": images.url + source}, "")
    until(lambda: stack.catalogue.tasks.peek(task_id_of_run(run_id)))
    assert reason in stack.api.state(task_id_of_run(run_id), 3)["last_error"]
    until(lambda: stack.run_state(run_id) == "failed")


def test_an_import_by_url_keeps_its_secrets(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """It fails while there is no file, is resumed, and completes; neither Airflow nor any log knows the whole URL."""
    missing = create_by_url(stack, f"{images.url}/missing?key=t0k")
    stack.api.ok(f"{missing}/start")
    assert "404 Not Found" in stack.api.state(missing, 3)["last_error"]
    task_id = create_by_url(stack, f"{images.url}/csv?rows=30&key=t0k")
    assert stack.api.detail(task_id)["total_num"] == 0
    stack.api.ok(f"{task_id}/start")
    done = stack.api.state(task_id, 3, 4)
    assert (done["state"], done["total_num"], done["handled_num"], done["last_error"]) == (4, 30, 30, "")
    for run_id in (missing, task_id):
        assert "t0k" not in str(stack.rest(f"dags/face_import/dagRuns/{run_id}"))
    assert [path for path in stack.layout.logs.rglob("*.log") if "t0k" in path.read_text(errors="replace")] == []


def create_by_url(stack: RealStack, source: str) -> str:
    """Create a task without a file; returns its id."""
    form = {"group_name": (None, "urls"), "source": (None, source)}
    answer = stack.api.post("create", files=form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("PREFIX/../../../../../etc/passwd", "not allowed"),
        ("PREFIX/a.zip::file:///etc/passwd", "not allowed"),
        ("http://169.254.169.254/latest/meta-data/", "not public"),
    ],
    ids=["parents", "chained", "metadata"],
)
def test_a_run_reads_nothing_inside(stack: RealStack, source: str, reason: str) -> None:
    """What begins as a source may is under all rules of sources: refused with the reason, and nothing is kept."""
    run_id = f"manual__{time.time()}"
    task_id = task_id_of_run(run_id)
    url = source.replace("PREFIX", stack.settings.source_prefixes[0])
    stack.airflow.trigger(run_id, {**FORM, "source": url}, "")
    until(lambda: stack.catalogue.tasks.peek(task_id))
    assert reason in stack.api.state(task_id, 3)["last_error"]
    assert not [path for path in (stack.settings.home / "storage").rglob(f"*{task_id}*/*") if path.is_file()]


def test_a_run_takes_nobodys_upload(stack: RealStack, images: ImageHost) -> None:
    """A form that names the upload of a task makes no import, and that task stays as it is."""
    other = stack.api.create(rows(images, 3))
    run_id = f"manual__{time.time()}"
    stack.airflow.trigger(run_id, {**FORM, "source": f"upload:{other}"}, "")
    until(lambda: stack.run_state(run_id) == "failed")
    assert stack.catalogue.tasks.peek(task_id_of_run(run_id)) is None
    assert stack.api.detail(other)["state"] == 1


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("source", "/etc/passwd"),
        ("source", "file:///etc/passwd"),
        ("source", "zip://faces.csv::file:///etc/passwd"),
        ("group_name", "two words"),
        ("thread_num", 0),
        ("pos_yaw", 181),
        ("mode", "2"),
    ],
    ids=str,
)
def test_airflow_refuses_a_wrong_form(stack: RealStack, name: str, wrong: object) -> None:
    """No run is made of values that are out of bounds, and of a source that settings do not allow."""
    run_id = f"manual__{time.time()}"
    with pytest.raises(WrongState, match=f"Invalid input for param {name}"):
        stack.airflow.trigger(run_id, {**FORM, "source": "https://example.com/a.csv", name: wrong}, "")
    assert stack.run_state(run_id) is None


def test_a_small_import_overtakes_a_large_one(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """It has its first row while the large one, whose shards use every slot, still has them all."""
    services.control(delay_s=5.0)
    large = stack.api.create(rows(images, 3000), thread_num=48)
    stack.api.ok(f"{large}/start")
    until(lambda: stack.catalogue.leases.live(large) == stack.settings.executor_slots, 120)
    unfinished = len(stack.catalogue.plans.unfinished(large))
    small = stack.api.create(rows(images, 20), thread_num=10)
    stack.api.ok(f"{small}/start")
    stack.api.handled(small, 1, 120)
    assert len(stack.catalogue.plans.unfinished(large)) == unfinished
    services.control(delay_s=0.0)
    assert stack.api.state(small, 3, 4)["success_num"] == 20
    stack.api.ok(f"{large}/delete")


def test_threads_change_while_it_runs(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """More threads reach the shards and the pool within seconds."""
    services.control(delay_s=0.1)
    task_id = stack.api.create(rows(images, 2000), thread_num=2)
    stack.api.ok(f"{task_id}/start")
    stack.api.handled(task_id, 5)
    assert stack.api.post(f"{task_id}/config", json={"thread_num": 30}).status_code == 200
    until(lambda: services.record()["in_flight"] > 15)
    assert stack.api.state(task_id, 3, 4)["success_num"] == 2000
    assert services.record()["max_in_flight"] <= 30
    assert stack.api.post(f"{task_id}/config", json={"thread_num": 5}).status_code == 409
