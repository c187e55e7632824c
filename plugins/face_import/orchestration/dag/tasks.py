"""The three tasks of the import DAG: plan, shard, finish."""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, cast
from uuid import uuid4

from airflow.sdk import Asset, AssetAlias, get_current_context
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowRuntimeError,
    AirflowSkipException,
)
from airflow.sdk.types import DagRunProtocol

from face_import.catalogue import Catalogue, ImportTask, get_catalogue
from face_import.catalogue.reports import counts_of
from face_import.clients.download import open_http
from face_import.clients.services import LibraryService
from face_import.clients.transfer import FetchError, TransientFetchError
from face_import.contract import ASSET_ALIAS, DAG_ID, GROUP_ASSET, LOG_XCOM_KEY, SHARD_TASK, UPLOAD, TaskState
from face_import.domain.failures import failed_run
from face_import.domain.identity import UPLOADED, task_id_of_run
from face_import.domain.limits import check_group_name, check_threads
from face_import.domain.models import OutcomeBatch, Row, Shard, SourceIndex
from face_import.domain.planning import plan_shards, pool_for, sample_ranges, shard_names
from face_import.domain.reading import Reading
from face_import.domain.uri import redact
from face_import.errors import (
    ConfigError,
    Interrupted,
    LeaseLost,
    RequestError,
    ServiceRefusal,
    ShardWaits,
    SourceError,
    TaskFailed,
    TaskNotFound,
    TaskStopped,
)
from face_import.orchestration.dag.enduring import enduring, wait_for_room
from face_import.orchestration.dag.metrics import send_metrics
from face_import.orchestration.dag.operators import InterruptibleTask
from face_import.orchestration.dag.params import task_config
from face_import.orchestration.dag.progress import told_progress
from face_import.pipeline.opening import opened
from face_import.pipeline.outage import Outage
from face_import.pipeline.work import ShardWork
from face_import.settings import Settings, get_settings
from face_import.sources.location import open_source
from face_import.sources.storage import Storage
from face_import.undo import store_added

log = logging.getLogger(__name__)
ASKED_TO_END = "Airflow asked this process to end"
LOGGED_TITLE, LOGGED_IGNORED = 60, 20
"""What the log shows of a title, in characters, and of the columns that are not imported."""
TRY_AGAIN = 1
"""Exit status after which Airflow retries a task instance like after an exception, but logs no traceback."""
KEEPER_S = 10.0
"""How long the keeper may take to notice a run that was cleared in Airflow."""


def plan() -> list[int]:
    """Store the source, make the group and commit the shards.

    Returns:
        The numbers of the shards, the same ones at every try.
    """
    context = get_current_context()
    run, settings, catalogue = context["dag_run"], get_settings(), get_catalogue()
    task_id = task_id_of_run(run.run_id)
    signal.signal(signal.SIGTERM, _interrupt)
    if InterruptibleTask.asked_to_end:
        _interrupt()
    source = context["params"]["source"]
    try:
        config = task_config(context["params"])
        if not source.startswith(UPLOAD):  # the API has registered its tasks; a missing one was deleted
            catalogue.tasks.add(task_id, run.run_id, config, state=TaskState.RUNNING, launched_at=_began(run))
        task = _wait_until_running(catalogue, task_id, run)
        if source == f"{UPLOAD}{task_id}":  # before the shards: whoever commits them removes the URL
            source = catalogue.creates.source_url(task_id) or source
        shards = catalogue.plans.shards(task_id)
        if not shards:
            check_group_name(config.group_name, settings)
            check_threads(settings, thread_num=config.thread_num, host_threads=config.host_threads)
            shards = _commit_plan(task, source, catalogue, settings)
    except TransientFetchError:
        raise
    except (ConfigError, SourceError, RequestError, FetchError, TaskFailed, TaskStopped) as error:
        _give_up(catalogue, run, error)
    log.info("planned task=%s shards=%s rows=%s", task_id, len(shards), sum(s.rows for s in shards))
    return [s.number for s in shards]


def _interrupt(*_: object) -> NoReturn:
    """End `plan` at once: Airflow's own handler would let it run on, beside its next try."""
    raise Interrupted(ASKED_TO_END)


def _commit_plan(task: ImportTask, source: str, catalogue: Catalogue, settings: Settings) -> list[Shard]:
    """Store the source, make the group and commit the shards; returns those of the plan that was committed first.

    An earlier try of `plan` may still be running. Whichever commits first decides: its shards are read back, and
    any other copy of the source is removed.
    """
    wait_for_room(settings)
    index, name = _store_source(task, source, catalogue, settings)
    log.info("read task=%s %s", task.id, _in_words(index.reading))
    shards = _shards(task, index, name, settings)
    if not (task.config.scope.dry_run or task.config.undoes):
        asyncio.run(_make_group(task.config.group_name, settings))
    catalogue.plans.commit(task.id, shards, sum(part.rows for part in shards), name, index.reading)
    Storage.of(settings).keep_only(task.id, catalogue.tasks.get(task.id).source_name)
    return catalogue.plans.shards(task.id)


def _shards(task: ImportTask, index: SourceIndex, name: str, settings: Settings) -> Sequence[Shard]:
    """The shards of a source: of all its rows, or of as many as the task samples."""
    slots = pool_for(task.run_id, task.config.thread_num, settings).slots
    sample = task.config.scope.rows_of(index.rows)
    if sample == index.rows:
        return plan_shards(index, slots)
    with Storage.of(settings).opened(task.id, index, name) as source:
        return list(source.shards(sample_ranges(index.rows, sample, slots)))


def _store_source(task: ImportTask, source: str, catalogue: Catalogue, settings: Settings) -> tuple[SourceIndex, str]:
    """The index of the task's source, and the name under which this try stored it or found the upload."""
    storage = Storage.of(settings)
    if task.config.undoes:
        log.info("listing the faces to remove task=%s undoes=%s", task.id, task.config.undoes)
        name = uuid4().hex
        return store_added(task, catalogue, storage, name), name
    if source.startswith(UPLOAD):
        if source != f"{UPLOAD}{task.id}":
            raise SourceError(f"the upload of task {source.removeprefix(UPLOAD)} belongs to that task alone")
        index = storage.index(task.id)
        if index is None:
            raise SourceError(f"the upload of task {task.id} is no longer in the storage")
        return index, UPLOADED
    log.info("storing the source task=%s source=%s", task.id, redact(source))
    with open_source(source, settings, lambda url: open_http(url, settings)) as stream:
        name = uuid4().hex
        return storage.store(task.id, stream, name, task.config.options), name


def _in_words(reading: Reading) -> str:
    """A reading for the log: one line, whatever the titles."""
    seen = reading.described()
    columns = ",".join(f"{field}:{_title(name)}" for field, name in seen["columns"].items())
    ignored = ",".join(map(_title, seen["ignored"][:LOGGED_IGNORED])) or "none"
    separator, header = repr(reading.separator), str(seen["header"]).lower()
    encoding = f"workbook sheet={_title(reading.sheet)}" if reading.sheet else seen["encoding"]
    return f"{encoding=!s} {separator=!s} {header=!s} {columns=!s} {ignored=!s}"


def _title(name: str | int) -> str:
    return repr(str(name)[:LOGGED_TITLE])[1:-1]


async def _make_group(group: str, settings: Settings) -> None:
    async with LibraryService(settings) as library:
        outage = Outage("library", settings.outage_patience_s)
        try:
            await outage.call(lambda: library.ensure_group(group, settings.group_capacity))
        except ServiceRefusal as error:
            raise TaskFailed(f"the face library refuses to make group {group!r}: {error}") from None


def shard(number: int) -> None:
    """Handle the rows of one shard until every one of them is in the ledger."""
    gc.freeze()  # freeze already imported objects: rescanning them cost 7 % per row
    context = get_current_context()
    catalogue, settings = get_catalogue(), get_settings()
    run, ti = context["dag_run"], context["ti"]
    task_id = task_id_of_run(run.run_id)

    def work() -> None:
        task = _wait_until_running(catalogue, task_id, run)
        part = catalogue.plans.shard(task_id, number)
        cast("dict[str, Any]", context)["rows"] = f"rows {part.first_row}-{part.last_row}"  # for Airflow's grid
        if (
            context["params"].get("dry_run") and not task.config.scope.dry_run
        ):  # made real since: `plan` has made no group
            asyncio.run(_make_group(task.config.group_name, settings))
        log.info("importing task=%s shard=%s rows=%s-%s", task_id, number, part.first_row, part.last_row)
        heard = signal.getsignal(signal.SIGTERM)
        try:
            asyncio.run(_import_shard(task, part, str(ti.id), _pusher(ti), catalogue, settings))
        finally:
            signal.signal(
                signal.SIGTERM, heard
            )  # the event loop leaves the default, which would kill a process that waits

    try:
        enduring(work, lambda: catalogue.ledger.progress(task_id, number).handled, settings)
    except (ConfigError, TaskFailed, TaskStopped, SourceError, TaskNotFound) as error:
        _give_up(catalogue, run, error)
    except ShardWaits as waits:
        log.info("waiting task=%s shard=%s seconds=%.0f reason=%s", task_id, number, waits.seconds, waits)
        again = datetime.now(UTC) + timedelta(seconds=waits.seconds)
        raise AirflowRescheduleException(again) from None  # type: ignore[no-untyped-call]
    except (LeaseLost, Interrupted) as error:
        log.warning("%s; the next try resumes the shard", error)
        raise SystemExit(TRY_AGAIN) from None
    progress = catalogue.ledger.progress(task_id, number)
    failed = ",".join(f"{code}:{rows}" for code, rows in progress.failures.items()) or "none"
    log.info("imported task=%s shard=%s succeeded=%s failed=%s", task_id, number, progress.succeeded, failed)


def _pusher(ti: Any) -> Callable[[OutcomeBatch], None]:
    """A function that pushes outcomes as the XCom `log`, whose backend writes them to the ledger.

    The ledger comes first: if only Airflow does not take the reference, the rows are safe and the import continues.
    """

    def push(batch: OutcomeBatch) -> None:
        try:
            ti.xcom_push(key=LOG_XCOM_KEY, value=batch)
        except (AirflowException, AirflowRuntimeError) as error:
            log.warning(
                "outcomes are in the ledger, but Airflow did not store the XCom task=%s shard=%s error=%s",
                batch.task_id,
                batch.shard,
                error,
            )

    return push


async def _import_shard(  # noqa: PLR0913, PLR0917 - all that a try needs
    task: ImportTask,
    part: Shard,
    owner: str,
    push: Callable[[OutcomeBatch], None],
    catalogue: Catalogue,
    settings: Settings,
) -> None:
    storage = Storage.of(settings)
    opening = storage.open_added if task.config.undoes else storage.open_shard
    rows: Iterator[Row] = opening(task.id, part, task.source_name)
    todo = ShardWork(task, part, owner, rows, push, observe=send_metrics)
    async with opened(todo, catalogue, settings) as work:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.stop, ASKED_TO_END)
        if InterruptibleTask.asked_to_end:
            work.stop(ASKED_TO_END)
        async with told_progress(catalogue, task.id, part):
            await work.run()


def finish() -> dict[str, Any]:
    """Complete the task if every row has an outcome; otherwise fail the run, and say which shards are unfinished.

    With `fail_on_errors`, the run of a task that was completed with failures fails as well: there is no event then, nor
    after a dry run.

    Returns:
        Rows by result. The group's asset gets an event with them, which Airflow emits if this task instance succeeds.
    """
    context, catalogue = get_current_context(), get_catalogue()
    run = context["dag_run"]
    task_id = task_id_of_run(run.run_id)
    catalogue.tasks.complete(task_id)
    task = catalogue.tasks.peek(task_id)
    if task is None or task.ended:
        why = task.last_error if task else ""
        raise AirflowFailException(why or f"task {task_id} is not running")  # skipped, the run would be a success
    if task.state == TaskState.RUNNING:
        _give_up(catalogue, run, TaskFailed(_unfinished(catalogue, task, _states(context["ti"], run))))
    counts = counts_of(catalogue.ledger, task)
    if reason := failed_run(task.config.policy, counts["failed"]):
        raise AirflowFailException(reason)
    if task.config.scope.dry_run:
        return counts
    group = Asset(GROUP_ASSET.format(group=task.config.group_name))
    context["outlet_events"][AssetAlias(ASSET_ALIAS)].add(group, extra=counts)
    return counts


def _states(ti: Any, run: DagRunProtocol) -> dict[str, str | None]:
    """States of the run's task instances by name, that of a shard with its number."""
    states: dict[str, dict[str, str | None]] = ti.get_task_states(dag_id=DAG_ID, run_ids=[run.run_id])
    return states.get(run.run_id, {})


def _unfinished(catalogue: Catalogue, task: ImportTask, states: Mapping[str, str | None]) -> str:
    """Why the task could not be completed, and what to do.

    A shard succeeds only when its rows are handled, so one that has succeeded without was set to success by a person.
    """
    missing = catalogue.plans.unfinished(task.id)
    if not missing:
        return f"the import was not planned; see the log of `plan` in Airflow's run {task.run_id}, then start it again"
    by_cause: dict[str, list[Shard]] = {}
    for part in missing:
        state = states.get(f"{SHARD_TASK}_{part.number}", "removed")
        by_cause.setdefault(_BY_HAND.get(state or "", _UNFINISHED), []).append(part)
    causes = [
        f"{len(parts)} of the import's shards {cause.format(were='were' if parts[1:] else 'was')}: {shard_names(parts)}"
        for cause, parts in by_cause.items()
    ]
    look = f"see their logs in Airflow's run {task.run_id}, then " if _UNFINISHED in by_cause else ""
    return f"{'; '.join(causes)}; {look}start the task again to import these rows"


_UNFINISHED = "did not finish"
_BY_HAND = {
    "success": "{were} set to success in Airflow before all rows were handled",
    "skipped": "{were} skipped in Airflow",
    "removed": "{were} deleted in Airflow",
}
"""What a person has done with a shard, by its state there."""


def _began(run: DagRunProtocol) -> float:
    """When the run began, in seconds since the epoch, by Airflow's clock."""
    return run.start_date.timestamp() if run.start_date else 0.0


def _wait_until_running(catalogue: Catalogue, task_id: str, run: DagRunProtocol) -> ImportTask:
    """The running task; waits a little for one that looks stopped although its run began after the stop.

    Such a run was cleared in Airflow. Usually the listener has started the task again by now; if it missed the event,
    the keeper does within a round or two.

    Raises:
        TaskStopped: it is stopped, completed or deleted.
    """
    deadline = time.monotonic() + KEEPER_S
    while True:
        try:
            task = catalogue.tasks.get(task_id)
        except TaskNotFound as error:
            raise TaskStopped(str(error)) from None
        if task.state == TaskState.RUNNING:
            return task
        if _began(run) <= (task.stopped_at or 0.0) or time.monotonic() > deadline:
            raise TaskStopped(f"task {task_id} is not running")
        time.sleep(0.2)


def _give_up(catalogue: Catalogue, run: DagRunProtocol, error: Exception) -> NoReturn:
    """Fail this task instance without a retry; an error that an operator has to fix becomes the task's last error.

    Not if the task was started again since: this task instance then belongs to an earlier attempt. If somebody has
    stopped the task, nothing has failed: what is left of it is skipped.
    """
    if isinstance(error, SourceError | FetchError):
        error = TaskFailed(f"the source cannot be read: {error}")
    task_id = task_id_of_run(run.run_id)
    if not isinstance(error, TaskStopped):
        catalogue.tasks.halt(task_id, str(error), run_began=_began(run))
    elif (task := catalogue.tasks.peek(task_id)) and task.stopped_on_purpose:
        raise AirflowSkipException(str(error)) from None
    raise AirflowFailException(str(error)) from None
