"""What Airflow's own pages show of an import: note, links, views, assets."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from face_import.domain.identity import task_id_of_run
from face_import.domain.planning import Pool
from tests.doubles.process import FaceServices, ImageHost
from tests.real import RealStack
from tests.stack.main_job.test_main_job import FORM, rows
from tests.waiting import until


def note(stack: RealStack, run_id: str) -> str:
    """The note of a run of the import DAG."""
    return str(stack.rest(f"dags/face_import/dagRuns/{run_id}")["note"] or "")


def asset_events(stack: RealStack, group: str) -> list[dict[str, Any]]:
    """Events of a group's asset, oldest first."""
    events: list[dict[str, Any]] = stack.rest("assets/events", order_by="timestamp", limit=100)["asset_events"]
    return [event for event in events if event["uri"] == f"face-import://groups/{group}"]


def test_the_note_and_the_asset_tell_the_result(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """A finished import has its counts in the run's note, and in one event of its group's asset."""
    lines = [*rows(images, 20, bad=frozenset({3, 5})), f"{images.url}/missing,,"]
    task_id = stack.api.create(lines, group="noted")
    assert asset_events(stack, "noted") == []
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    until(lambda: note(stack, task_id) == "noted: completed with 3 failures (201 x2, 101 x1): 18 of 21 imported", 30)
    (event,) = until(lambda: asset_events(stack, "noted"), 30)
    assert event["extra"] == {"task": task_id, "succeeded": 18, "failed": {"101": 1, "201": 2}}


def test_a_stopped_import_is_noted_and_emits_nothing(
    stack: RealStack, services: FaceServices, images: ImageHost
) -> None:
    """The note tells the reason; after the next start it tells the result, and only then is there an asset event."""
    task_id = stack.api.create(rows(images, 9, bad=frozenset({4})), group="halted", thread_num=1, mode=1)
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 3)
    until(lambda: note(stack, task_id).startswith("halted: stopped. row 4: "), 30)
    assert asset_events(stack, "halted") == []
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    until(lambda: note(stack, task_id) == "halted: completed with 1 failure (201 x1): 8 of 9 imported", 30)
    assert len(until(lambda: asset_events(stack, "halted"), 30)) == 1


def test_failures_fail_the_run_if_asked_and_not_the_import(
    stack: RealStack, services: FaceServices, images: ImageHost
) -> None:
    """The run is red, its import stays completed without an error, and nobody is told of new faces in the group."""
    task_id = stack.api.create(rows(images, 9, bad=frozenset({4})), group="alerting", fail_on_errors=1)
    stack.api.ok(f"{task_id}/start")
    until(lambda: stack.airflow.run(task_id).state == "failed", 120)
    until(lambda: note(stack, task_id) == "alerting: completed with 1 failure (201 x1): 8 of 9 imported", 30)
    detail = stack.api.detail(task_id)
    assert (detail["state"], detail["last_error"], detail["failed_num"]) == (4, "", 1)
    assert asset_events(stack, "alerting") == []


def test_too_many_failures_stop_the_run(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """The note says what failed and what is allowed; a start completes what was handled to its end."""
    lines = rows(images, 9, bad=frozenset({4, 6}))
    task_id = stack.api.create(lines, group="budget", thread_num=1, max_failed_percent=10)
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 3)
    reason = "22.2 % of 9 rows failed (201: 2), at most 10 % allowed; see the log"
    until(lambda: note(stack, task_id).startswith(f"budget: stopped. {reason}"), 30)
    until(lambda: stack.airflow.run(task_id).state == "failed", 60)
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    until(lambda: note(stack, task_id) == "budget: completed with 2 failures (201 x2): 7 of 9 imported", 30)


def test_a_run_from_the_form_gets_a_note_and_a_persons_note_stays(
    stack: RealStack, services: FaceServices, images: ImageHost
) -> None:
    """Without an API there is a note all the same; what somebody wrote by hand is not replaced."""
    conf = {**FORM, "group_name": "byhand", "source": f"{images.url}/csv?rows=3"}
    stack.airflow.trigger("manual__note", conf, "")
    stack.airflow.trigger("manual__own", conf, "asked for by Ms Miller")
    for run_id in ("manual__note", "manual__own"):
        until(lambda run_id=run_id: stack.catalogue.tasks.peek(task_id_of_run(run_id)))
        stack.api.state(task_id_of_run(run_id), 4)
    until(lambda: note(stack, "manual__note") == "byhand: 3 of 3 imported", 30)
    until(lambda: stack.run_state("manual__own") == "success", 30)
    assert note(stack, "manual__own") == "asked for by Ms Miller"


def test_imports_that_end_together_both_succeed(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """The first imports into a group make its asset known; none of them is refused because of the others."""
    tasks = [stack.api.create(rows(images, 1), group="together") for _ in range(4)]
    for task_id in tasks:
        stack.api.ok(f"{task_id}/start")
    for task_id in tasks:
        until(lambda task_id=task_id: stack.run_state(task_id) == "success", 90)
        finish = stack.rest(f"dags/face_import/dagRuns/{task_id}/taskInstances/finish")
        assert (finish["state"], finish["try_number"]) == ("success", 1)
    assert len(asset_events(stack, "together")) == 4


def test_a_shard_is_named_by_its_rows_and_links_to_them(
    stack: RealStack, services: FaceServices, images: ImageHost
) -> None:
    """The grid says which rows a shard has; its link leads to them; other task instances have no link."""
    task_id = stack.api.create(rows(images, 12))
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    run = f"dags/face_import/dagRuns/{task_id}/taskInstances"
    assert stack.rest(f"{run}/shard/0")["rendered_map_index"] == "rows 1-12"
    links = stack.rest(f"{run}/shard/links", map_index=0)["extra_links"]
    assert links == {"Failed rows": f"{stack.settings.console_url}/runs/{task_id}?shard=0"}
    assert stack.rest(f"{run}/plan/links")["extra_links"] == {"Failed rows": None}
    log = stack.rest(f"{run}/shard/xcomEntries/log", map_index=0, deserialize=True)["value"]
    assert log == f"shard 0 of import {task_id}: 12 succeeded"


def test_airflow_has_the_consoles_pages(stack: RealStack) -> None:
    """The navigation has the list of imports, a run's page has the import."""
    (plugin,) = (p for p in stack.rest("plugins")["plugins"] if p["name"] == "face_import")
    views = {view["destination"]: view["href"] for view in plugin["external_views"]}
    console = stack.settings.console_url
    assert views == {"nav": f"{console}/?embed=1", "dag_run": f"{console}/runs/{{RUN_ID}}?embed=1&dag={{DAG_ID}}"}


@pytest.mark.usefixtures("services")
def test_airflow_answers_many_writes_at_once(stack: RealStack) -> None:
    """No write of a person fails or stands still because another request of the api-server holds SQLite's lock."""

    def make_and_delete(number: int) -> None:
        for _ in range(12):
            stack.airflow.make_pool(Pool(f"many_{number}", 1, ""))
            stack.airflow.delete_pool(f"many_{number}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make_and_delete, range(8)))
    assert stack.airflow.pools("many_") == {}
