"""The three tasks of the import DAG: plan, shard, finish."""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn, cast
from uuid import uuid4

from airflow.sdk import Asset, AssetAlias, get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowRuntimeError
from airflow.sdk.types import DagRunProtocol

from face_import.catalogue import Catalogue, ImportTask, get_catalogue
from face_import.catalogue.reports import counts_of
from face_import.clients.download import open_http
from face_import.clients.services import LibraryService
from face_import.clients.transfer import FetchError, TransientFetchError
from face_import.contract import ASSET_ALIAS, GROUP_ASSET, LOG_XCOM_KEY, UPLOAD, TaskState
from face_import.domain.identity import UPLOADED, task_id_of_run
from face_import.domain.limits import check_group_name, check_thread_num
from face_import.domain.models import OutcomeBatch, Shard, SourceIndex
from face_import.domain.planning import plan_shards, pool_for
from face_import.domain.reading import Reading
from face_import.domain.uri import redact
from face_import.errors import (
    ConfigError,
    Interrupted,
    LeaseLost,
    RequestError,
    ServiceRefusal,
    SourceError,
    TaskFailed,
    TaskNotFound,
    TaskStopped,
)
from face_import.orchestration.dag.metrics import send_metrics
from face_import.orchestration.dag.operators import InterruptibleTask
from face_import.orchestration.dag.params import task_config
from face_import.pipeline.opening import opened
from face_import.pipeline.outage import Outage
from face_import.pipeline.shard import ShardWork
from face_import.settings import Settings, get_settings
from face_import.sources.location import open_source
from face_import.sources.storage import Storage

log = logging.getLogger(__name__)
ASKED_TO_END = "Airflow asked this process to end"
LOGGED_TITLE, LOGGED_IGNORED = 60, 20
"""What the log shows of a title, in characters, and of the columns that are not imported."""
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
            check_thread_num(config.thread_num, settings)
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
    index, name = _store_source(task, source, settings)
    log.info("read task=%s %s", task.id, _in_words(index.reading))
    shards = plan_shards(index, pool_for(task.run_id, task.config.thread_num, settings).slots)
    asyncio.run(_make_group(task.config.group_name, settings))
    catalogue.plans.commit(task.id, shards, index.rows, name, index.reading)
    Storage.of(settings).keep_only(task.id, catalogue.tasks.get(task.id).source_name)
    return catalogue.plans.shards(task.id)


def _store_source(task: ImportTask, source: str, settings: Settings) -> tuple[SourceIndex, str]:
    """The index of the task's source, and the name under which this try stored it or found the upload."""
    storage = Storage.of(settings)
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
    try:
        task = _wait_until_running(catalogue, task_id, run)
        part = catalogue.plans.shard(task_id, number)
        cast("dict[str, Any]", context)["rows"] = f"rows {part.first_row}-{part.last_row}"  # for Airflow's grid
        log.info("importing task=%s shard=%s rows=%s-%s", task_id, number, part.first_row, part.last_row)
        asyncio.run(_import_shard(task, part, str(ti.id), _pusher(ti), catalogue, settings))
    except (ConfigError, TaskFailed, TaskStopped, SourceError, TaskNotFound) as error:
        _give_up(catalogue, run, error)
    except (LeaseLost, Interrupted) as error:
        raise AirflowException(f"{error}; the next try resumes the shard") from None
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
    rows = Storage.of(settings).open_shard(task.id, part, task.source_name)
    todo = ShardWork(task, part, owner, rows, push, observe=send_metrics)
    async with opened(todo, catalogue, settings) as work:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.stop, ASKED_TO_END)
        if InterruptibleTask.asked_to_end:
            work.stop(ASKED_TO_END)
        await work.run()


def finish() -> dict[str, Any]:
    """Complete the task if every row has an outcome; otherwise fail the run, and say which shards are unfinished.

    Returns:
        Rows by result. The group's asset gets an event with them, which Airflow emits if this task instance succeeds.
    """
    context, catalogue = get_current_context(), get_catalogue()
    run = context["dag_run"]
    task_id = task_id_of_run(run.run_id)
    catalogue.tasks.complete(task_id)
    task = catalogue.tasks.peek(task_id)
    if task is None or task.ended:
        _give_up(catalogue, run, TaskStopped(f"task {task_id} is not running"))
    if task.state == TaskState.RUNNING:
        _give_up(catalogue, run, TaskFailed(_unfinished(catalogue, task)))
    counts = counts_of(catalogue.ledger, task)
    group = Asset(GROUP_ASSET.format(group=task.config.group_name))
    context["outlet_events"][AssetAlias(ASSET_ALIAS)].add(group, extra=counts)
    return counts


def _unfinished(catalogue: Catalogue, task: ImportTask) -> str:
    """Why the task could not be completed, and what to do."""
    done = catalogue.plans.finished_shards(task.id)
    missing = [s for s in catalogue.plans.shards(task.id) if s.number not in done]
    if not missing:
        return f"the import was not planned; see the log of `plan` in Airflow's run {task.run_id}, then start it again"
    places = ", ".join(f"{s.number} (rows {s.first_row}-{s.last_row})" for s in missing[:5])
    return (
        f"{len(missing)} of the import's shards did not finish: {places}; see their logs in Airflow's run "
        f"{task.run_id}, then start the task again"
    )


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

    Not if the task was started again since: this task instance then belongs to an earlier attempt.
    """
    if isinstance(error, SourceError | FetchError):
        error = TaskFailed(f"the source cannot be read: {error}")
    if not isinstance(error, TaskStopped):
        catalogue.tasks.halt(task_id_of_run(run.run_id), str(error), run_began=_began(run))
    raise AirflowFailException(str(error)) from None
