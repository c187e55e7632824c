"""Monitoring: `/healthz` and `/readyz` for supervisors and load balancers, `/metrics` for Prometheus.

Metrics of imports are read from the catalogue at each scrape, so they do not depend on the process that answers; the
durations of requests and stops are measured by the API's one process. Metrics of shards go through Airflow's StatsD or
OpenTelemetry.
"""

import logging
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api_shim.access import OtherGroup, is_scoped
from api_shim.app_context import app_context
from api_shim.reach import Reach
from api_shim.timing import with_all_labels
from face_import import __version__
from face_import.catalogue.reports import Figures, check_tables, read_figures
from face_import.contract import Code, TaskState

log = logging.getLogger(__name__)
blueprint = Blueprint("monitoring", __name__)
disable_created_metrics()  # type: ignore[no-untyped-call]  # they would add a creation time to each metric


@blueprint.get("/healthz")
def healthz() -> Response:
    """Liveness: this process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Readiness; 503 names the unavailable part, and the log has the reason.

    Without Airflow the API still creates, stops, deletes and shows imports: it stays ready, and says that it is
    degraded.
    """
    parts: dict[str, Callable[[], None]] = {
        "catalogue": lambda: check_tables(app_context().catalogue.engine),
        "storage": app_context().storage.check,
    }
    found = {name: "ok" if _available(name, check) else "unavailable" for name, check in parts.items()}
    ready, reach = all(state == "ok" for state in found.values()), app_context().reach.look()
    found["airflow"] = "ok" if reach.airflow else "unavailable"
    found["scheduler"] = "ok" if reach.scheduler else "no heartbeat" if reach.airflow else "unknown"
    status = "not ready" if not ready else "ok" if reach.scheduler else "degraded"
    return jsonify(status=status, parts=found), 200 if ready else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    """All metrics in Prometheus's text format; a key must have access to all groups."""
    if is_scoped():
        raise OtherGroup("metrics cover all groups, and your key has access to some only")
    registry = CollectorRegistry(auto_describe=False)
    context = app_context()
    registry.register(_Gauges(read_figures(context.catalogue.engine)))
    registry.register(_Surroundings(context.reach.look()))
    registry.register(context.stops)
    registry.register(with_all_labels(context.requests))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _available(part: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - databases and object stores raise errors of their own
        log.warning("not ready part=%s error=%s", part, type(error).__name__)
        return False
    return True


class _Gauges(Collector):
    """Figures as metrics. Label values are a fixed set, all present from the start."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics, for the registry."""
        figures = self._figures
        tasks = GaugeMetricFamily("face_import_tasks", "Imports by state", labels=["state"])
        for state in TaskState:
            tasks.add_metric([state.name.lower()], figures.tasks.get(state, 0))
        yield tasks
        rows = GaugeMetricFamily("face_import_rows", "Handled rows by code; 0 is imported", labels=["code"])
        for code in Code:
            rows.add_metric([str(int(code))], figures.rows.get(code, 0))
        yield rows
        yield GaugeMetricFamily("face_import_shards_working", "Shards with a live lease", figures.shards)
        yield GaugeMetricFamily(
            "face_import_rows_granted", "Total concurrency granted to shards with a live lease", figures.granted
        )
        yield GaugeMetricFamily(
            "face_import_hosts_unavailable",
            "Image hosts that running imports wait for; a host counts once for each import",
            figures.hosts_unavailable,
        )
        pending = GaugeMetricFamily(
            "face_import_pending_seconds",
            "Age of the oldest start that has not reached Airflow, delete not purged yet, and end not told by callback",
            labels=["work"],
        )
        pending.add_metric(["start"], figures.start_pending_s)
        pending.add_metric(["purge"], figures.purge_pending_s)
        pending.add_metric(["callback"], figures.callback_pending_s)
        yield pending
        yield GaugeMetricFamily(
            "face_import_callbacks_given_up", "Callbacks that did not arrive within a day", figures.callbacks_given_up
        )


class _Surroundings(Collector):
    """The release, and Airflow as seen from here."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics, for the registry."""
        build = GaugeMetricFamily("face_import_build_info", "The release; always 1", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        up = GaugeMetricFamily(
            "face_import_airflow_up",
            "Whether Airflow's api-server answers, and whether its scheduler has a recent heartbeat",
            labels=["part"],
        )
        up.add_metric(["api"], self._reach.airflow)
        up.add_metric(["scheduler"], self._reach.scheduler)
        yield up
