"""The keeper: a loop that reconciles the catalogue with Airflow; safe to run twice (design decision 2).

The API's reads never call Airflow, and listeners and stops may miss events. This loop recovers, within seconds, from
whatever somebody does in Airflow's UI and whatever a crash leaves behind.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from typing import Any, NoReturn

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from face_import.audit import AuditLog, By, Entry
from face_import.callbacks import Courier
from face_import.catalogue import Catalogue, ImportTask, get_catalogue
from face_import.catalogue.reports import waiting_tasks
from face_import.clients.airflow import Airflow, Run
from face_import.contract import Notice, TaskState
from face_import.control import Control
from face_import.domain.identity import POOL_PREFIX, pool_of_run
from face_import.domain.notes import with_waiting
from face_import.domain.planning import pool_for, shard_names
from face_import.errors import AirflowError, AirflowRefused, FaceImportError, RequestError, WrongState
from face_import.lifetime import beat
from face_import.settings import Settings, get_settings
from face_import.sources.storage import Storage
from face_import.stalls import OUT_OF_REACH, Revival, StallWatch

log = logging.getLogger(__name__)
ROUND_S = 1.0
LAUNCH_AFTER_S = 10.0
"""How long a start may take before it counts as lost."""
LOOK_EVERY = 5
"""Rounds between queries to Airflow while nothing is running: somebody may have cleared a run. While something is, it
is asked as rarely whether somebody has paused it."""
END_AFTER_S = 5.0
"""How long a run may take to end by itself after its task has stopped."""
SWEEP_EVERY = 60
LINGER_S = 12.0
"""How long a deleted task is kept, so that a process just starting for it sees that it was deleted."""
PURGE_ROUND_S = 1.0
"""How long a round may purge, so that other tasks do not have to wait."""
PURGE_AT_ONCE = 20
"""Deleted tasks handled in a round, newest first: each takes a query to Airflow, and `prune` may leave thousands."""
PURGE_PAUSE_S = 0.05
"""Pause between two batches, so that other imports get the database's write lock."""
EXPIRE_AT_ONCE = 20
"""Expired tasks deleted per sweep: each takes a query to Airflow in every round until it is purged."""
DAY_S = 86_400.0
ORPHAN_AFTER_S = 3600.0
"""Age at which a source without a task counts as orphaned: far longer than an upload takes."""


class Keeper:
    """Reconciles all tasks, a round at a time.

    Args:
        settings: the settings.
        catalogue: where the tasks are.
        airflow: access to Airflow's API.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, airflow: Airflow) -> None:
        self._engine = catalogue.engine
        self._tasks = catalogue.tasks
        self._plans = catalogue.plans
        self._hosts = catalogue.hosts
        self._ledger = catalogue.ledger
        self._leases = catalogue.leases
        self._runs = catalogue.runs
        self._airflow = airflow
        self._control = Control(settings, catalogue, airflow)
        self._storage = Storage.of(settings)
        self._settings = settings
        self._audit = AuditLog.of(settings)
        self._retention_s = settings.retention_days * DAY_S
        self._had_active_runs = True
        self._orphans: dict[str, float] = {}
        self._without_pool: set[str] = set()
        self._purge_until = 0.0
        self._rounds = 0

    def round(self) -> None:
        """Reconcile once.

        Raises:
            AirflowError: Airflow is unavailable; the next round continues.
        """
        running = self._tasks.in_state(TaskState.RUNNING)
        deleted = self._tasks.deleted()
        self._rounds += 1
        if running or deleted or self._had_active_runs or self._rounds % LOOK_EVERY == 0:
            active = self._airflow.active_runs()
            self._had_active_runs = bool(active)
            self._for_each(self._end_unwanted, self._tasks.by_run(sorted(active)).values(), active)
            self._for_each(self._reconcile, running, active)
            working = [task for task in running if task.run_id in active and active[task.run_id].state == "running"]
            self._obey_pools(working)
            self._for_each(self._note_waiting, working, active, waiting_tasks(self._engine))
            self._explain(running)
        self._purge_until = time.monotonic() + PURGE_ROUND_S
        self._for_each(self._purge, nlargest(PURGE_AT_ONCE, deleted, key=lambda task: task.deleted_at or 0))

    def _for_each(self, repair: Callable[..., None], tasks: Iterable[ImportTask], *more: Any) -> None:
        """Repair each task; one that is busy, or fails in Airflow, does not hold up the others."""
        for task in tasks:
            try:
                repair(task, *more)
            except WrongState as error:
                log.debug("skipped: busy task=%s reason=%s", task.id, error)
            except (RequestError, AirflowRefused) as error:
                log.info("left for the next round task=%s reason=%s", task.id, error)

    def _end_unwanted(self, task: ImportTask, active: dict[str, Run]) -> None:
        """Fail a run that continues although its task has ended: after a stop that Airflow missed, or mode 1.

        If somebody cleared the run in Airflow and the listener missed it, the task is started instead. A run whose task
        has just stopped may first end by itself, so that `finish` can show the reason in Airflow.
        """
        if task.ended and self._tasks.clock() - (task.stopped_at or 0) > END_AFTER_S:
            now_known = self._runs.run_queued(task.run_id, active[task.run_id].queued_at)
            if now_known is not None and now_known.attempt > task.attempt:
                self._note("start", task.id, task.config.group_name, by=By.AIRFLOW)
            if now_known is not None and now_known.ended:
                self._control.end_run(task.id, patience_s=0)
                log.info("ended a run whose task is not running run=%s", task.run_id)

    def _reconcile(self, task: ImportTask, active: dict[str, Run]) -> None:
        """Repair a running task whose start may be lost, or whose run is no longer active."""
        if task.launched_attempt < task.attempt:
            if self._tasks.clock() - (task.started_at or 0) > LAUNCH_AFTER_S:
                log.warning("repeating a lost start task=%s", task.id)
                self._control.launch(task.id)
            return
        run = active.get(task.run_id) or self._airflow.run(task.run_id)  # it may be newer than the list
        if run is not None and run.active:
            return
        if not self._tasks.complete(task.id):
            if run is not None and self._airflow.is_cut_short(task.run_id):
                log.warning("repeating a start that Airflow undid task=%s", task.id)
                self._control.launch(task.id, again=True)
                return
            reason = {
                None: f"Airflow's run {task.run_id} was deleted while the import was running",
                "success": (
                    f"Airflow's run {task.run_id} was set to success there before all rows were handled; "
                    f"unfinished: {shard_names(self._plans.unfinished(task.id))}"
                ),
            }.get(run.state if run else None, f"Airflow's run {task.run_id} failed")
            if self._tasks.halt(task.id, f"{reason}; start the task to resume", attempt=task.attempt):
                log.warning("stopped task=%s reason=%s", task.id, reason)
                self._note("stop", task.id, task.config.group_name, reason=reason)

    def _obey_pools(self, tasks: Sequence[ImportTask]) -> None:
        """Apply pool sizes: 0 slots keep shards from starting, and here also pause the running ones."""
        if tasks:
            slots = self._airflow.pools(POOL_PREFIX)
            missing = {task.id for task in tasks if pool_of_run(task.run_id) not in slots}
            self._for_each(self._obey_pool, tasks, slots, missing & self._without_pool)
            self._without_pool = missing

    def _obey_pool(self, task: ImportTask, slots: dict[str, int], lasting: set[str]) -> None:
        """Pause or resume a task by its pool; recreate a pool missing for two rounds, or the task would starve."""
        if task.id in lasting:
            log.warning("recreating a missing pool task=%s", task.id)
            self._airflow.make_pool(pool_for(task.run_id, task.config.thread_num, self._settings))
        paused = slots.get(pool_of_run(task.run_id)) == 0
        if paused != task.paused:
            log.info("%s task=%s", "pausing" if paused else "resuming", task.id)
            self._tasks.pause(task.id, paused=paused)

    def _explain(self, tasks: Sequence[ImportTask]) -> None:
        """Say why tasks do not go on, if somebody decided it in Airflow."""
        if tasks and self._rounds % LOOK_EVERY == 0:
            paused = self._airflow.is_paused()
            for task in tasks:
                notice = Notice.DAG_PAUSED if paused else Notice.NO_SLOTS if task.paused else ""
                if notice != task.notice:
                    log.info("waiting task=%s reason=%s", task.id, notice or "none")
                    self._tasks.notify(task.id, notice)

    def _note_waiting(self, task: ImportTask, active: dict[str, Run], waiting: set[str]) -> None:
        """Say in a run's note which image hosts its import waits for; one that somebody wrote instead stays."""
        written = active[task.run_id].note
        if not written.startswith(f"{task.config.group_name}: "):
            return
        hosts = self._hosts.waiting(task.id) if task.id in waiting else []
        note = with_waiting(written, [(host.host, host.reason) for host in hosts])
        if note != written and self._tasks.get(task.id).state == TaskState.RUNNING:  # its result may be there by now
            self._airflow.set_note(task.run_id, note)

    def _purge(self, task: ImportTask) -> None:
        """Remove the data of a deleted task, in batches over several rounds, once nothing works on it any more."""
        self._control.end_run(task.id, patience_s=0)
        if self._tasks.clock() - (task.deleted_at or 0) < LINGER_S:
            return
        if self._leases.live(task.id) or not self._airflow.delete_run(task.run_id):
            return
        self._airflow.delete_pool(pool_of_run(task.run_id))
        self._storage.delete(task.id)
        while self._tasks.purge_some(task.id):
            if time.monotonic() > self._purge_until:
                return
            time.sleep(PURGE_PAUSE_S)
        log.info("purged task=%s", task.id)
        self._note("purge", task.id, task.config.group_name)

    def _note(self, action: str, task_id: str, group: str = "", *, by: By = By.KEEPER, **details: str) -> None:
        """Audit what the keeper did, or has found done in Airflow."""
        self._audit.write(Entry(by=by, action=action, task=task_id, group=group, details=details))

    def sweep(self) -> None:
        """Delete expired tasks, pools that a listener failed to delete, and sources without a task."""
        if self._retention_s:
            for task_id in self._tasks.mark_expired_deleted(self._retention_s, at_most=EXPIRE_AT_ONCE):
                log.info("deleted after its retention task=%s", task_id)
                self._note("delete", task_id, reason="its retention is over")
        pools = self._airflow.pools(POOL_PREFIX)  # before the runs: a run that starts in between keeps its pool
        in_use = {pool_of_run(run_id) for run_id in self._airflow.active_runs()}
        in_use |= {pool_of_run(task.run_id) for task in self._tasks.in_state(TaskState.RUNNING)}
        for name in pools:
            if name not in in_use:
                self._airflow.delete_pool(name)
        clock = time.monotonic()
        stored = self._storage.task_ids()  # before the tasks: one created in between has both
        without = set(stored) - self._tasks.all_ids()
        self._orphans = {name: self._orphans.get(name, clock) for name in without}
        for name, seen_at in self._orphans.items():
            if clock - seen_at > ORPHAN_AFTER_S:
                log.info("removing a source without a task source=%s", name)
                self._storage.delete(name)


def run(revival: Revival = OUT_OF_REACH) -> NoReturn:
    """Run the keeper forever.

    Args:
        revival: see `StallWatch`.
    """
    settings = get_settings()
    airflow = Airflow(settings)
    Courier(settings, get_catalogue()).start()
    keeper, stalls = Keeper(settings, get_catalogue(), airflow), StallWatch(settings, airflow, revival)
    log.info("keeper started")
    rounds = 0
    while True:
        try:
            keeper.round()
            if rounds % LOOK_EVERY == 0:
                stalls.look()
            if rounds % SWEEP_EVERY == 0:
                keeper.sweep()
        except AirflowError as error:
            log.warning("airflow unavailable error=%s", error)
        except OperationalError as error:
            log.warning("catalogue unavailable error=%s", error.orig)
        except (FaceImportError, SQLAlchemyError, OSError):
            log.exception("round failed; retrying")
        beat(settings.heartbeat_file)
        rounds += 1
        time.sleep(ROUND_S)
