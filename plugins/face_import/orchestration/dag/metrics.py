"""Metrics of imports, sent as Airflow sends its own: by its StatsD or OpenTelemetry settings, or not at all.

Names instead of tags, because Airflow drops tags when it sends to a plain StatsD. Counters instead of gauges, because
the gauges of several processes overwrite each other.
"""

import logging

from airflow.sdk.observability import stats

from face_import.pipeline.meter import Measured

log = logging.getLogger(__name__)
PREFIX = "face_import"


def send_metrics(measured: Measured) -> None:
    """Send what a shard has done since the last call; a few packets a second. Never raises."""
    try:
        _send(measured)
    except Exception as error:  # noqa: BLE001 - a metric that cannot be sent must not fail an import
        log.warning("metrics not sent error=%s", error)


def _send(measured: Measured) -> None:
    for code, rows in measured.rows.items():
        stats.incr(f"{PREFIX}.rows.{code:d}", rows)
    _count_ms(f"{PREFIX}.row_ms", measured.row_seconds)
    for service, calls in measured.calls.items():
        name = f"{PREFIX}.service.{service}"
        stats.incr(f"{name}.calls", calls.number)
        if calls.unanswered:
            stats.incr(f"{name}.unanswered", calls.unanswered)
        _count_ms(f"{name}.ms", calls.seconds)
        stats.timing(f"{name}.slowest", calls.slowest * 1000)
    if measured.stop_seconds is not None:
        stats.timing(f"{PREFIX}.shard_stop", measured.stop_seconds * 1000)


def _count_ms(name: str, seconds: float) -> None:
    if milliseconds := round(seconds * 1000):
        stats.incr(name, milliseconds)
