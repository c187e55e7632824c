"""Liveness, readiness and metrics; the dashboard and the alerts in `deploy/` ask for metrics that are there."""

import json
import logging
import re
from collections.abc import Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from api_shim import reach
from api_shim.reach import AirflowReach, Reach
from face_import.catalogue import Catalogue
from face_import.clients.airflow import Airflow
from face_import.contract import Code
from face_import.errors import AirflowUnavailable
from face_import.settings import CHECKOUT, Settings
from tests.conftest import MakeTask
from tests.hosts import unavailable
from tests.unit.catalogue.test_tasks import finish

Samples = dict[tuple[str, str], float]
AWAY = {"airflow": "unavailable", "scheduler": "unknown"}
"""Parts of an Airflow that is not there: the API is ready without it."""
TABLE = re.compile(r"^\| `(face_import_\w+)` \|([^|]*)\|", re.MULTILINE)


def scrape(client: FlaskClient) -> Samples:
    """Values by metric and label value, as a Prometheus reads them."""
    answer = client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {(sample.name, "".join(sample.labels.values())): sample.value for sample in samples}


def families(client: FlaskClient) -> dict[str, dict[str, set[str]]]:
    """Label values by metric and label; histograms by their own name, without their buckets."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        labels = found.setdefault(family.name, {})
        for sample in family.samples:
            for label, value in sample.labels.items():
                if label != "le":
                    labels.setdefault(label, set()).add(value)
    return found


def of_shards() -> set[str]:
    """Names of what shards send, as Prometheus's StatsD exporter gives them on."""
    mappings = yaml.safe_load((CHECKOUT / "deploy" / "statsd-mapping.yaml").read_text())["mappings"]
    return {one["name"] + ("_bucket" if "observer_type" in one else "") for one in mappings}


def test_an_empty_catalogue_has_every_metric_at_zero(client: FlaskClient) -> None:
    """A metric that appears with its first row has no increase before it."""
    found = scrape(client)
    assert {name for (name, _), value in found.items() if value} == {"face_import_build_info"}
    assert {label for name, label in found if name == "face_import_rows"} == {str(int(code)) for code in Code}
    assert {label for name, label in found if name == "face_import_tasks"} == {
        "created",
        "running",
        "stopped",
        "completed",
    }


def test_the_metrics_are_the_catalogues(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Tasks, rows, leases, and what waits for the keeper."""
    make_task(running=False)
    done, working, gone = make_task(), make_task(shards=2), make_task()
    finish(catalogue, done.id)
    catalogue.tasks.complete(done.id)
    catalogue.runs.note_queued(done.id, 1, 1.0)
    catalogue.leases.take(working.id, 0, "me", 4)
    catalogue.tasks.mark_deleted(gone.id)
    with catalogue.engine.begin() as connection:
        connection.execute(text("UPDATE import_task SET started_at = started_at - 100 WHERE state = 2"))
        connection.execute(text("UPDATE import_task SET deleted_at = deleted_at - 50 WHERE deleted_at IS NOT NULL"))
    found = scrape(client)
    states = {label: value for (name, label), value in found.items() if name == "face_import_tasks"}
    assert states == {"created": 1, "running": 1, "stopped": 0, "completed": 1}
    assert sum(value for (name, _), value in found.items() if name == "face_import_rows") == 10
    # the finished shard's lease was not given back, and its task is completed: it works no more
    assert (found["face_import_shards_working", ""], found["face_import_rows_granted", ""]) == (1, 4)
    assert found["face_import_pending_seconds", "start"] == pytest.approx(100, abs=5)
    assert found["face_import_pending_seconds", "purge"] == pytest.approx(50, abs=5)


def test_callbacks_that_did_not_arrive_are_measured(
    client: FlaskClient, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """How long the oldest one waits, and how many were given up; deleted imports do not count."""
    waits, given_up, gone, told = (make_task(callback_url=f"http://{n}.example/") for n in range(4))
    for task in (given_up, gone, told):
        catalogue.tasks.stop(task.id)
    calls = {call.task_id: call for call in catalogue.callbacks.claim(9, 60.0)}
    catalogue.callbacks.failed(calls[given_up.id], "410 Gone", None)
    catalogue.callbacks.delivered(calls[told.id], "200 OK")
    catalogue.tasks.mark_deleted(gone.id)
    found = scrape(client)
    assert found["face_import_pending_seconds", "callback"] == 0
    assert found["face_import_callbacks_given_up", ""] == 1
    catalogue.tasks.stop(waits.id)
    with catalogue.engine.begin() as connection:
        connection.execute(text("UPDATE callback SET ended_at = ended_at - 100"))
    assert scrape(client)["face_import_pending_seconds", "callback"] == pytest.approx(100, abs=5)


def test_unavailable_hosts_are_counted(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Those that running imports wait for, once for each; not those that answer again or were given up."""
    one, two, stopped = make_task(), make_task(), make_task()
    for task in (one, two, stopped):
        unavailable(catalogue, task.id)
    unavailable(catalogue, one.id, "https://img.example.com")
    unavailable(catalogue, one.id, "http://healed.example.com", since=None)
    unavailable(catalogue, one.id, "http://given-up.example.com", given_up=True)
    catalogue.tasks.stop(stopped.id)
    assert scrape(client)["face_import_hosts_unavailable", ""] == 3


def test_stops_are_timed(client: FlaskClient, make_task: MakeTask) -> None:
    """A stop by the API counts with its length; one that is refused does not."""
    task = make_task()
    assert client.post(f"/v1/tasks/{task.id}/stop").status_code == 200
    assert client.post(f"/v1/tasks/{task.id}/stop").status_code == 409
    found = scrape(client)
    assert found["face_import_stop_seconds_count", ""] == 1
    assert 0 < found["face_import_stop_seconds_sum", ""] < 10
    assert found["face_import_stop_seconds_bucket", "+Inf"] == 1


def test_a_launched_start_is_not_pending(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Only what the keeper has still to do counts."""
    task = make_task()
    catalogue.runs.note_queued(task.id, 1, 1.0)
    assert scrape(client)["face_import_pending_seconds", "start"] == 0


def test_nothing_of_a_task_is_in_the_metrics(client: FlaskClient, make_task: MakeTask) -> None:
    """Ids, groups and files would make a time series each, and say who is imported."""
    task = make_task()
    answer = client.get("/metrics").text
    assert all(word not in answer for word in (task.id, task.config.group_name, task.config.source))


def test_a_ready_api_leaves_nothing_behind(client: FlaskClient, settings: Settings) -> None:
    """The check of the storage writes, and removes what it wrote."""
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["parts"]) == (200, {"catalogue": "ok", "storage": "ok"} | AWAY)
    assert not [path for path in (settings.home / "storage").rglob("*") if path.name != "sources"]


def test_a_storage_that_cannot_be_written_is_named(client: FlaskClient, settings: Settings) -> None:
    """503 says which part; the process itself is alive."""
    (settings.home / "storage").write_text("a file where the folder should be")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["parts"]) == (503, {"catalogue": "ok", "storage": "unavailable"} | AWAY)
    assert client.get("/healthz").json == {"status": "ok"}


def test_a_catalogue_without_tables_is_named(client: FlaskClient, catalogue: Catalogue) -> None:
    """Before the migration nothing can be served; a scrape fails then, it does not say zero."""
    with catalogue.engine.begin() as connection:
        for table in ("outcome", "tally", "shard", "import_task"):
            connection.execute(text(f"DROP TABLE {table}"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["parts"]) == (503, {"catalogue": "unavailable", "storage": "ok"} | AWAY)
    assert client.get("/metrics").status_code == 503


def test_a_writer_does_not_hold_them_up(client: FlaskClient, catalogue: Catalogue) -> None:
    """They read a snapshot, and wait for no lock."""
    with catalogue.engine.begin():
        assert client.get("/readyz").status_code == 200
        assert client.get("/metrics").status_code == 200


def alert_groups() -> list[dict[str, Any]]:
    """The groups of alert rules."""
    groups: list[dict[str, Any]] = yaml.safe_load((CHECKOUT / "deploy" / "alerts.yaml").read_text())["groups"]
    return groups


def expressions() -> Iterator[str]:
    """Every query of the dashboard and of the alert rules."""
    dashboard = json.loads((CHECKOUT / "deploy" / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for group in alert_groups():
        yield from (rule["expr"] for rule in group["rules"])


def test_dashboard_and_alerts_ask_for_what_there_is(client: FlaskClient) -> None:
    """A query for a metric or label value that does not exist would never show or fire; and each metric is shown."""
    client.get("/nowhere")
    found = families(client)
    asked = " ".join(expressions())
    names = {name.removesuffix("_bucket").removesuffix("_count") for name in re.findall(r"face_import_\w+", asked)}
    assert names == set(found) | {name.removesuffix("_bucket") for name in of_shards()}
    for name, label, value in re.findall(r'(face_import_\w+)\{(\w+)="(\w+)"', asked):
        assert value in found[name.removesuffix("_count")][label]


def test_the_table_of_metrics_is_what_is_served(client: FlaskClient) -> None:
    """Names and labels of the page for operators, and the label values that it names."""
    client.get("/", headers={"Accept": "text/html"})
    found = families(client)
    table = dict(TABLE.findall((CHECKOUT / "docs" / "how-to" / "operations.md").read_text()))
    assert set(table) == set(found)
    for name, labels in table.items():
        assert set(re.findall(r"`(\w+)`", labels)) == set(found[name])
        for label, values in re.findall(r"`(\w+)`: ([\w, ]+)", labels):
            assert found[name][label] <= set(values.strip().split(", "))


def test_the_table_of_shards_metrics_is_what_is_mapped() -> None:
    """Each name of the page is in the StatsD exporter's mapping, and the other way."""
    page = (CHECKOUT / "docs" / "how-to" / "operations.md").read_text()
    names, first = set(), ""
    for name in re.findall(r"`([^`]+)`", " ".join(re.findall(r"^\| (`face_import\..+?) \|", page, re.MULTILINE))):
        first = name if name.startswith("face_import") else first
        full = name if name == first else first.rpartition(".")[0] + name
        names.add("airflow." + re.sub(r"<[^>]+>", "*", full))
    mappings = yaml.safe_load((CHECKOUT / "deploy" / "statsd-mapping.yaml").read_text())["mappings"]
    assert names == {one["match"] for one in mappings}


def test_every_alert_has_a_severity_and_a_runbook() -> None:
    """The runbook's address is that of a heading with the alert's name."""
    page = (CHECKOUT / "docs" / "how-to" / "operations.md").read_text()
    rules = [rule for group in alert_groups() for rule in group["rules"]]
    for rule in rules:
        name = rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook_url"] == f"docs/how-to/operations.md#{name.lower()}"
        assert f"\n### {name}\n" in page
    assert set(re.findall(r"^### (FaceImport\w+)$", page, re.MULTILINE)) == {rule["alert"] for rule in rules}


def test_requests_are_timed_by_endpoint(client: FlaskClient, make_task: MakeTask) -> None:
    """Whatever a client sends, the labels stay few: paths that are not there are one, and so are ids."""
    task = make_task()
    for path in ("/nowhere", "/nowhere/else", "/v1/tasks/x/explode"):
        assert client.get(path).status_code == 404
    for _ in range(3):
        client.get(f"/v1/tasks/{task.id}/detail")
    client.get("/v1/tasks/AAAAAAAAAAAA/detail")
    before = families(client)["face_import_request_seconds"]
    found = scrape(client)
    counts = {label: value for (name, label), value in found.items() if name == "face_import_request_seconds_count"}
    assert {label: value for label, value in counts.items() if value} == {
        "other4xx": 3,
        "detail2xx": 3,
        "detail4xx": 1,
        "metrics2xx": 1,
    }
    assert before == families(client)["face_import_request_seconds"]


def test_airflow_is_told_apart(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No heartbeat, no api-server, both well: each is looked at once in five seconds, and logged when it changes."""
    caplog.set_level(logging.INFO)
    looks = iter([False, AirflowUnavailable("away", sent=False), AirflowUnavailable("away", sent=False), True])
    clock = [100.0]

    def has_scheduler(_airflow: Airflow) -> bool:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(Airflow, "has_scheduler", has_scheduler)
    monkeypatch.setattr(reach, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    look = AirflowReach(Airflow(settings)).look
    for expected in (Reach(airflow=True), Reach(), Reach(), Reach(airflow=True, scheduler=True)):
        assert look() == look() == expected
        clock[0] += reach.LOOK_EVERY_S
    assert [line.getMessage() for line in caplog.records if line.name == reach.log.name] == [
        "airflow is not ready reason=its scheduler has no recent heartbeat",
        "airflow is not ready reason=away",
        "airflow is ready",
    ]


def test_an_airflow_that_hangs_holds_nobody_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last look counts, until this one is over."""
    release = Event()
    monkeypatch.setattr(reach, "WAIT_S", 0.01)
    monkeypatch.setattr(Airflow, "has_scheduler", lambda _airflow: release.wait(30))
    found = AirflowReach(Airflow(settings))
    assert found.look() == Reach()
    release.set()
    monkeypatch.setattr(reach, "WAIT_S", 30)
    assert found.look() == Reach(airflow=True, scheduler=True)


def test_a_degraded_api_is_ready(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops and shows imports without Airflow, so a load balancer keeps it; the status says what is missing."""
    assert client.get("/readyz").json["status"] == "degraded"
    for found, parts, up in (
        (Reach(airflow=True), {"airflow": "ok", "scheduler": "no heartbeat"}, (1, 0)),
        (Reach(airflow=True, scheduler=True), {"airflow": "ok", "scheduler": "ok"}, (1, 1)),
    ):
        monkeypatch.setattr(AirflowReach, "look", lambda _self, found=found: found)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json["parts"]) == (200, {"catalogue": "ok", "storage": "ok"} | parts)
        samples = scrape(client)
        assert (samples["face_import_airflow_up", "api"], samples["face_import_airflow_up", "scheduler"]) == up
    assert answer.json["status"] == "ok"
