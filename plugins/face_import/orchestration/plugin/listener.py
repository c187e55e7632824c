"""Tells the catalogue what happens to the runs of `face_import`, and makes and drops their pools.

These hooks run inside Airflow's scheduler and api-server, in the middle of their transactions: they change Airflow's
tables by Core statements on its own session, wait at most 250 ms for the catalogue, and never raise. The keeper
makes up for what they miss.
"""

import logging
import os
from collections.abc import Callable
from datetime import datetime
from functools import cache, wraps
from importlib import import_module
from typing import cast

from airflow.listeners import hookimpl
from airflow.models.dagrun import DagRun
from airflow.models.pool import Pool
from sqlalchemy import Table, delete
from sqlalchemy.orm import Session, object_session

from face_import.audit import AuditLog, By, Entry
from face_import.catalogue import Catalogue, ImportTask
from face_import.catalogue.engine import upsert_for
from face_import.contract import DAG_ID, DEFAULT_THREAD_NUM
from face_import.domain.identity import pool_of_run, task_id_of_run
from face_import.domain.planning import pool_for
from face_import.domain.uri import redact
from face_import.orchestration.plugin.notes import make_group_asset, note_opening, note_result
from face_import.settings import get_settings
from face_import.sources.files import load_file_system

log = logging.getLogger(__name__)
CATALOGUE_TIMEOUT_S = 0.25
POOLS = cast("Table", Pool.__table__)
Hook = Callable[[DagRun, str], None]


@cache
def _catalogue(_pid: int) -> Catalogue:
    return Catalogue.open(get_settings(), timeout_s=CATALOGUE_TIMEOUT_S, pooled=False)


def _for_our_runs(hook: Hook) -> Hook:
    @wraps(hook)
    def careful(dag_run: DagRun, msg: str) -> None:
        if dag_run.dag_id != DAG_ID:
            return
        try:
            hook(dag_run, msg)
        except Exception:  # raising would abort the scheduler's transaction
            log.exception("listener missed an event run=%s", dag_run.run_id)

    return careful


@hookimpl
def on_starting(component: object) -> None:  # noqa: ARG001
    """Import what tasks need before the scheduler forks its executor's processes, and those fork the tasks."""
    import_module("face_import.orchestration.dag.tasks")
    load_file_system(get_settings().storage_root)


@hookimpl
@_for_our_runs
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001
    """Make the run's pool, and start the task again if somebody cleared the run in Airflow."""
    threads = _requested_threads(dag_run)
    try:
        catalogue = _catalogue(os.getpid())
        before = catalogue.tasks.by_run([dag_run.run_id]).get(dag_run.run_id)
        task = catalogue.runs.run_queued(dag_run.run_id, _seconds(dag_run.queued_at))
        threads = task.config.thread_num if task else threads
    finally:
        _set_pool(dag_run, threads)
    conf = dag_run.conf or {}
    group = task.config.group_name if task else str(conf.get("group_name", ""))
    source = task.config.source if task else redact(str(conf.get("source", "")))
    _audit_start(dag_run, before, task, group)
    note_opening(_session(dag_run), dag_run, group, source)
    if group:
        make_group_asset(_session(dag_run), group)


@hookimpl
@_for_our_runs
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    """Drop the pool, stop the task unless it has ended, and note the result."""
    _drop_pool(dag_run)
    reason = f"Airflow's run {dag_run.run_id} failed: {msg.rstrip('.') or 'no reason given'}"
    began = _seconds(dag_run.start_date or dag_run.queued_at)
    if task := _catalogue(os.getpid()).runs.run_failed(dag_run.run_id, began, f"{reason}; start the task to resume"):
        _audit("stop", task.id, task.config.group_name, reason=reason)
    note_result(_session(dag_run), dag_run, _catalogue(os.getpid()))


@hookimpl
@_for_our_runs
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001
    """Drop the pool and note the result; `finish` has completed the task, or else the keeper stops it."""
    _drop_pool(dag_run)
    note_result(_session(dag_run), dag_run, _catalogue(os.getpid()))


def _audit_start(dag_run: DagRun, before: ImportTask | None, task: ImportTask | None, group: str) -> None:
    """Audit a start by somebody in Airflow, or by a recurring import; what the API starts, it audits itself."""
    if task is None:
        entry = str((dag_run.conf or {}).get("entry") or "")
        details = {"entry": entry} if entry else {}
        _audit("start", task_id_of_run(dag_run.run_id), group, who=dag_run.triggering_user_name or "", **details)
    elif before and task.attempt > before.attempt and task.launched_attempt == task.attempt:  # cleared in Airflow
        _audit("start", task.id, group)


def _audit(action: str, task_id: str, group: str, *, who: str = "", **details: str) -> None:
    entry = Entry(by=By.AIRFLOW, who=who, action=action, task=task_id, group=group, details=details)
    AuditLog.of(get_settings()).write(entry)


def _requested_threads(dag_run: DagRun) -> int:
    """`thread_num` of a run without a task yet: one that was triggered in Airflow, before its `plan`."""
    value = (dag_run.conf or {}).get("thread_num", DEFAULT_THREAD_NUM)
    return value if isinstance(value, int) else DEFAULT_THREAD_NUM


def _seconds(moment: datetime | None) -> float:
    """Seconds since the epoch; 0 for None."""
    return moment.timestamp() if moment else 0.0


def _set_pool(dag_run: DagRun, threads: int) -> None:
    session = _session(dag_run)
    upsert = upsert_for(session.get_bind().dialect)
    pool = pool_for(dag_run.run_id, threads, get_settings())
    values = {"pool": pool.name, "slots": pool.slots, "description": pool.description, "include_deferred": False}
    statement = upsert(POOLS).values(values)
    session.execute(statement.on_conflict_do_update(index_elements=["pool"], set_={"slots": statement.excluded.slots}))


def _drop_pool(dag_run: DagRun) -> None:
    statement = delete(Pool).where(Pool.pool == pool_of_run(dag_run.run_id))
    _session(dag_run).execute(statement, execution_options={"synchronize_session": False})


def _session(dag_run: DagRun) -> Session:
    session = object_session(dag_run)
    if session is None:
        raise RuntimeError(f"run {dag_run.run_id} is not attached to a session")
    return session
