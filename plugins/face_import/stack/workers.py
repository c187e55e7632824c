"""Celery's workers: Airflow's settings for them, their command, and their health."""

import json
import socket
import sys
from collections.abc import Sequence

from face_import.contract import DEFAULT_QUEUE, SHARD_QUEUE
from face_import.settings import Settings
from face_import.stack.layout import Layout
from face_import.stack.quoting import airflow_url

_PING_S = 1.0
_CONNECT_S = 3.0

_NO_LIMIT = str(10**6)
_CELERY = {
    # Imported once, before the worker forks its processes and these fork the tasks'.
    "imports": ["face_import.orchestration.dag.tasks"],
    "task_publish_retry_policy": {"max_retries": 100, "interval_start": 0.1, "interval_step": 0, "interval_max": 0.1},
}
"""Celery's settings that have no name in Airflow's configuration."""


def celery_settings(settings: Settings, layout: Layout) -> dict[str, str]:
    """Airflow's settings for the CeleryExecutor; results go to Airflow's own database, which is the default."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        # The workers' slots are the limit: a worker that joins must find shards waiting for it.
        "AIRFLOW__CORE__PARALLELISM": _NO_LIMIT,
        # So a shard may wait in the queue for hours. Airflow would fail it after three times ten minutes; this way it
        # only sends it again, which also replaces a message that was lost with its worker.
        "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": _NO_LIMIT,
        "AIRFLOW__OPERATORS__DEFAULT_QUEUE": DEFAULT_QUEUE,
        # Our bundles are not versioned, and the cleanup process would outlive a killed worker.
        "AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_INTERVAL": "0",
        "AIRFLOW__CELERY__BROKER_URL": airflow_url(settings.broker_url),
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(settings.executor_slots),
        # While Redis is unavailable, task instances wait in the scheduler: Airflow retries only sends that ran into its
        # timeout of a second, and would count those that failed earlier as a failed try.
        "AIRFLOW__CELERY__TASK_PUBLISH_MAX_RETRIES": _NO_LIMIT,
        "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": json.dumps(_CELERY),
        # A message is redelivered after a day; Airflow starts no second process for a shard that still runs then.
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": key_prefix(layout),
    }


def key_prefix(layout: Layout) -> str:
    """Prefix of this stack's keys in Redis, so that several stacks can share one server."""
    return f"face_import:{layout.stack_id}:"


def worker_command(settings: Settings, name: str, *, slots: int | None = None) -> tuple[str, ...]:
    """Command of a worker.

    It takes from both queues in turn, so that the start of one import does not wait behind all shards of another:
    Celery does not know Airflow's priorities.

    Args:
        settings: with the default of `slots`.
        name: unique among the stack's workers on this machine.
        slots: parallel task instances.
    """
    airflow = (sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs")
    # Workers need no information about each other, and exchanging it delays each start by a second.
    alone = ("--without-mingle", "--without-gossip")
    options = ("--celery-hostname", node(name), "--concurrency", str(slots or settings.executor_slots))
    return (*airflow, *alone, *options, "--queues", f"{DEFAULT_QUEUE},{SHARD_QUEUE}")


def node(name: str) -> str:
    """Celery's name of a worker on this machine."""
    return f"{name}@{socket.gethostname()}"


def answering(settings: Settings, names: Sequence[str]) -> set[str]:
    """Those of these workers of this machine that answer a ping; none if the broker is unavailable."""
    if not names:
        return set()
    from celery import Celery  # noqa: PLC0415 - slow to import, and only stacks with workers need it
    from kombu.exceptions import OperationalError  # noqa: PLC0415 - the same

    app = Celery("face-import-ping", broker=settings.broker_url, set_as_current=False)
    app.conf.broker_transport_options = {
        "global_keyprefix": key_prefix(Layout.of(settings.home)),
        "socket_connect_timeout": _CONNECT_S,
        "socket_timeout": _CONNECT_S,
    }
    try:
        answers = app.control.ping(destination=[node(name) for name in names], timeout=_PING_S)
    except OperationalError:
        return set()
    finally:
        app.close()
    return {found.partition("@")[0] for answer in answers for found in answer}
