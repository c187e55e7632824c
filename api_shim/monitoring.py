"""What watches the API: `/healthz` and `/readyz` for whoever restarts or routes, `/metrics` for Prometheus.

All metrics but one are read from the catalogue at each scrape, so they are the same whichever process answers. How long
stops took is this process's own, and there is one. How long other requests take is not among them: the proxy with TLS
before the API measures that as clients see it. What shards measure goes by Airflow's StatsD or OpenTelemetry settings.
"""

import logging
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api_shim.access import OtherGroup, is_scoped
from api_shim.app_context import services
from face_import.catalogue.reports import Figures, check_tables, read_figures
from face_import.contract import Code, TaskState

log = logging.getLogger(__name__)
blueprint = Blueprint("monitoring", __name__)
disable_created_metrics()  # type: ignore[no-untyped-call]  # a metric more for each, with the time the process began


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that this process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Say whether requests can be served; 503 names the part that is away, and the log why."""
    parts: dict[str, Callable[[], None]] = {
        "catalogue": lambda: check_tables(services().catalogue.engine),
        "storage": services().storage.check,
    }
    found = {name: "ok" if _holds(name, check) else "away" for name, check in parts.items()}
    ready = all(state == "ok" for state in found.values())
    return jsonify(status="ok" if ready else "not ready", parts=found), 200 if ready else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    """The figures of the catalogue in Prometheus's text format; with keys, for one that is for all groups."""
    if is_scoped():
        raise OtherGroup("the metrics are about all groups, and your key is for some of them")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gauges(read_figures(services().catalogue.engine)))
    registry.register(services().stops)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _holds(part: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - databases and object stores have errors of their own
        log.warning("not ready part=%s error=%s", part, type(error).__name__)
        return False
    return True


class _Gauges(Collector):
    """Figures as metrics. Every label value is one of a fixed few, and is there from the start."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics, for the registry."""
        figures = self._figures
        tasks = GaugeMetricFamily("face_import_tasks", "Imports that are kept, by state", labels=["state"])
        for state in TaskState:
            tasks.add_metric([state.name.lower()], figures.tasks.get(state, 0))
        yield tasks
        rows = GaugeMetricFamily("face_import_rows", "Rows of kept imports, by code; 0 is done", labels=["code"])
        for code in Code:
            rows.add_metric([str(int(code))], figures.rows.get(code, 0))
        yield rows
        yield GaugeMetricFamily("face_import_shards_working", "Shards with a live lease", figures.shards)
        yield GaugeMetricFamily(
            "face_import_rows_granted", "Most rows that working shards may have in flight", figures.granted
        )
        pending = GaugeMetricFamily(
            "face_import_pending_seconds",
            "Age of the oldest start that has not reached Airflow, and of the oldest delete that is not purged",
            labels=["work"],
        )
        pending.add_metric(["start"], figures.start_pending_s)
        pending.add_metric(["purge"], figures.purge_pending_s)
        yield pending
