"""Liveness, readiness and metrics; the dashboard and the alerts in `deploy/` ask for metrics that are there."""

import json
import re
from collections.abc import Iterator

import pytest
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from face_import.catalogue import Catalogue
from face_import.contract import Code
from face_import.settings import CHECKOUT, Settings
from tests.conftest import MakeTask
from tests.unit.catalogue.test_tasks import finish

Samples = dict[tuple[str, str], float]


def scrape(client: FlaskClient) -> Samples:
    """Values by metric and label value, as a Prometheus reads them."""
    answer = client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {(sample.name, "".join(sample.labels.values())): sample.value for sample in samples}


def of_shards() -> set[str]:
    """Names of what shards send, as Prometheus's StatsD exporter gives them on."""
    mappings = yaml.safe_load((CHECKOUT / "deploy" / "statsd-mapping.yaml").read_text())["mappings"]
    return {one["name"] + ("_bucket" if "observer_type" in one else "") for one in mappings}


def test_an_empty_catalogue_has_every_metric_at_zero(client: FlaskClient) -> None:
    """A metric that appears with its first row has no increase before it."""
    found = scrape(client)
    assert set(found.values()) == {0.0}
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
    assert (answer.status_code, answer.json["parts"]) == (200, {"catalogue": "ok", "storage": "ok"})
    assert not [path for path in (settings.home / "storage").rglob("*") if path.name != "sources"]


def test_a_storage_that_cannot_be_written_is_named(client: FlaskClient, settings: Settings) -> None:
    """503 says which part; the process itself is alive."""
    (settings.home / "storage").write_text("a file where the folder should be")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["parts"]) == (503, {"catalogue": "ok", "storage": "unavailable"})
    assert client.get("/healthz").json == {"status": "ok"}


def test_a_catalogue_without_tables_is_named(client: FlaskClient, catalogue: Catalogue) -> None:
    """Before the migration nothing can be served; a scrape fails then, it does not say zero."""
    with catalogue.engine.begin() as connection:
        for table in ("outcome", "tally", "shard", "import_task"):
            connection.execute(text(f"DROP TABLE {table}"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["parts"]) == (503, {"catalogue": "unavailable", "storage": "ok"})
    assert client.get("/metrics").status_code == 503


def test_a_writer_does_not_hold_them_up(client: FlaskClient, catalogue: Catalogue) -> None:
    """They read a snapshot, and wait for no lock."""
    with catalogue.engine.begin():
        assert client.get("/readyz").status_code == 200
        assert client.get("/metrics").status_code == 200


def expressions() -> Iterator[str]:
    """Every query of the dashboard and of the alert rules."""
    dashboard = json.loads((CHECKOUT / "deploy" / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    rules = yaml.safe_load((CHECKOUT / "deploy" / "alerts.yaml").read_text())
    for group in rules["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_dashboard_and_alerts_ask_for_what_there_is(client: FlaskClient) -> None:
    """A query for a metric or label value that does not exist would never show or fire."""
    found = scrape(client)
    names = {name for name, _ in found} - {"face_import_stop_seconds_count", "face_import_stop_seconds_sum"}
    asked = list(expressions())
    assert {name for one in asked for name in re.findall(r"face_import_\w+", one)} == names | of_shards()
    selectors = re.findall(r'(face_import_\w+)\{\w+="(\w+)"', " ".join(asked))
    assert set(selectors) <= found.keys()
