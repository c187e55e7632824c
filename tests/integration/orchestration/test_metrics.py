"""Metrics on their way: Airflow's own StatsD client, a real socket, and the names that Prometheus gets."""

import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest
import yaml
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

from face_import.contract import Code
from face_import.orchestration.dag.metrics import send_metrics
from face_import.pipeline.meter import Calls, Measured
from face_import.settings import CHECKOUT

MEASURED = Measured(
    Counter({Code.OK: 40, Code.URI_UNREACHABLE: 2}),
    8.25,
    {"info": Calls(42, 1, 2.1, 0.3), "library": Calls(40, 0, 1.0, 0.05)},
    1.5,
)


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket that Airflow is told to send its metrics to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(server.getsockname()[1]))
        stats.initialize(factory=get_stats_factory(), export_legacy_names=False)
        yield server
    monkeypatch.undo()
    stats.initialize(factory=get_stats_factory(), export_legacy_names=False)


def test_what_was_measured_is_sent(statsd: socket.socket) -> None:
    """A packet a number, under Airflow's own prefix."""
    send_metrics(MEASURED)
    assert {statsd.recv(1500).decode() for _ in range(11)} == {
        "airflow.face_import.rows.0:40|c",
        "airflow.face_import.rows.101:2|c",
        "airflow.face_import.row_ms:8250|c",
        "airflow.face_import.service.info.calls:42|c",
        "airflow.face_import.service.info.unanswered:1|c",
        "airflow.face_import.service.info.ms:2100|c",
        "airflow.face_import.service.info.slowest:300.000000|ms",
        "airflow.face_import.service.library.calls:40|c",
        "airflow.face_import.service.library.ms:1000|c",
        "airflow.face_import.service.library.slowest:50.000000|ms",
        "airflow.face_import.shard_stop:1500.000000|ms",
    }


def test_nothing_is_sent_where_nothing_is_on() -> None:
    """By default the calls go nowhere."""
    send_metrics(MEASURED)


def test_an_import_does_not_end_for_want_of_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the operator's client raises is a line in the log."""

    def broken(_name: str, _value: float) -> None:
        raise ValueError("no such host")

    monkeypatch.setattr(stats, "incr", broken)
    send_metrics(MEASURED)


def test_each_name_has_one_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter's file knows every name that is sent, and no others; the dashboard asks for those it makes."""
    sent: set[str] = set()
    for kind in ("incr", "timing"):
        monkeypatch.setattr(stats, kind, lambda name, _value: sent.add(f"airflow.{name}"))
    send_metrics(MEASURED)
    mappings = yaml.safe_load((CHECKOUT / "deploy" / "statsd-mapping.yaml").read_text())["mappings"]
    for name in sent:
        assert len([one for one in mappings if _matches(one["match"], name)]) == 1, name
    assert all(any(_matches(one["match"], name) for name in sent) for one in mappings)
    dashboard = json.dumps(json.loads((CHECKOUT / "deploy" / "grafana-dashboard.json").read_text()))
    for one in mappings:
        assert re.search(rf"\b{one['name']}(_bucket)?\b", dashboard), one["name"]


def _matches(pattern: str, name: str) -> bool:
    """As the exporter does: a star is one part of a name."""
    return fnmatchcase(name, pattern) and pattern.count(".") == name.count(".")
