"""Bodies of the DAG's three tasks: plan, shard, finish."""

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
from face_import.domain.uri import redact
from face_import.errors import (
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
from face_import.orchestration.dag.operators import ImportOperator
from face_import.orchestration.dag.params import task_config
from face_import.pipeline.opening import opened
from face_import.pipeline.outage import Outage
from face_import.pipeline.shard import ShardWork
from face_import.settings import Settings, get_settings
from face_import.sources.location import open_source
from face_import.sources.storage import Storage

log = logging.getLogger(__name__)
ENDING = "Airflow asked this process to end"
KEEPER_S = 10.0
"""How long the keeper may take to notice a run that was cleared in Airflow."""


def plan() -> list[int]:
    """Take the source in, make the group, commit the shards; returns their numbers, always the same ones."""
    context = get_current_context()
    run, settings, catalogue = context["dag_run"], get_settings(), get_catalogue()
    task_id = task_id_of_run(run.run_id)
    signal.signal(signal.SIGTERM, _interrupt)
    if ImportOperator.asked_to_end:
        _interrupt()
    config = task_config(context["params"])
    if not context["params"]["source"].startswith(UPLOAD):  # an upload's task was made by the API, or is deleted
        catalogue.tasks.add(task_id, run.run_id, config, state=TaskState.RUNNING, launched_at=_began(run))
    try:
        task = _running(catalogue, task_id, run)
        shards = catalogue.plans.shards(task_id)
        if not shards:
            check_group_name(config.group_name, settings)
            check_thread_num(config.thread_num, settings)
            index, name = _take_in(task_id, context["params"]["source"], settings)
            planned = plan_shards(index, pool_for(run.run_id, task.config.thread_num, settings).slots)
            asyncio.run(_make_group(task.config.group_name, settings))
            catalogue.plans.commit(task_id, list(planned), index.rows, name)
            shards = catalogue.plans.shards(task_id)
            Storage.of(settings).keep_only(task_id, catalogue.tasks.get(task_id).source_name)
    except (SourceError, RequestError, FetchError, TaskFailed, TaskStopped) as error:
        if isinstance(error, TransientFetchError):
            raise
        _give_up(catalogue, run, error)
    log.info("planned task=%s shards=%s rows=%s", task_id, len(shards), sum(s.rows for s in shards))
    return [s.number for s in shards]


def _interrupt(*_: object) -> NoReturn:
    """End `plan` at once where Airflow's own handler would let it go on beside its successor."""
    raise Interrupted(ENDING)


def _take_in(task_id: str, source: str, settings: Settings) -> tuple[SourceIndex, str]:
    """The index of the task's source, and the name under which this try stored it or found the upload."""
    storage = Storage.of(settings)
    if source == f"{UPLOAD}{task_id}" and (index := storage.index(task_id)) is not None:
        return index, UPLOADED
    if source.startswith(UPLOAD):
        raise SourceError(f"the upload of task {source.removeprefix(UPLOAD)} belongs to that task alone")
    log.info("taking the source in task=%s source=%s", task_id, redact(source))
    with open_source(source, settings, lambda url: open_http(url, settings)) as stream:
        name = uuid4().hex
        return storage.store(task_id, stream, name), name


async def _make_group(group: str, settings: Settings) -> None:
    async with LibraryService(settings) as library:
        outage = Outage("library", settings.outage_patience_s)
        try:
            await outage.call(lambda: library.ensure_group(group, settings.group_capacity))
        except ServiceRefusal as error:
            raise TaskFailed(f"the face library refuses to make group {group!r}: {error}") from None


def shard(number: int) -> None:
    """Handle the rows of one shard until all are in the ledger."""
    gc.freeze()  # what is imported by now stays: to search it for garbage again and again took 7 % of a row
    context = get_current_context()
    catalogue, settings = get_catalogue(), get_settings()
    run, ti = context["dag_run"], context["ti"]
    task_id = task_id_of_run(run.run_id)
    try:
        task = _running(catalogue, task_id, run)
        part = catalogue.plans.shard(task_id, number)
        cast("dict[str, Any]", context)["rows"] = f"rows {part.first_row}-{part.last_row}"
        before = catalogue.ledger.progress(task_id, number).handled
        log.info(
            "importing task=%s shard=%s rows=%s-%s handled=%s", task_id, number, part.first_row, part.last_row, before
        )
        asyncio.run(_import_shard(task, part, str(ti.id), _pusher(ti), catalogue, settings))
    except (TaskFailed, TaskStopped, SourceError, TaskNotFound) as error:
        _give_up(catalogue, run, error)
    except (LeaseLost, Interrupted) as error:
        raise AirflowException(f"{error}; the next try goes on") from None
    progress = catalogue.ledger.progress(task_id, number)
    failed = ",".join(f"{code}:{rows}" for code, rows in progress.failures.items()) or "none"
    log.info("imported task=%s shard=%s succeeded=%s failed=%s", task_id, number, progress.succeeded, failed)


def _pusher(ti: Any) -> Callable[[OutcomeBatch], None]:
    """Hand-over of outcomes as the XCom `log`; the backend writes them to the ledger before Airflow hears of it."""

    def push(batch: OutcomeBatch) -> None:
        try:
            ti.xcom_push(key=LOG_XCOM_KEY, value=batch)
        except (AirflowException, AirflowRuntimeError) as error:
            log.warning(
                "the ledger has the rows, but Airflow did not take their reference task=%s shard=%s error=%s",
                batch.task_id,
                batch.shard,
                error,
            )

    return push


async def _import_shard(  # noqa: PLR0913, PLR0917 - what a try needs, said once
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
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.stop, ENDING)
        if ImportOperator.asked_to_end:
            work.stop(ENDING)
        await work.run()


def finish() -> dict[str, Any]:
    """Complete the task if every row has its outcome; otherwise say what is missing, and fail the run.

    The group's asset gets an event with the same counts; Airflow keeps it if this task instance succeeds.
    """
    context, catalogue = get_current_context(), get_catalogue()
    run = context["dag_run"]
    task_id = task_id_of_run(run.run_id)
    completed = catalogue.tasks.complete(task_id)
    task = catalogue.tasks.peek(task_id)
    if task is None or task.state in {TaskState.CREATED, TaskState.STOPPED}:
        _give_up(catalogue, run, TaskStopped(f"task {task_id} is not running"))
    if task.state == TaskState.RUNNING and not completed:
        _give_up(catalogue, run, TaskFailed(_unfinished(catalogue, task)))
    counts = counts_of(catalogue.ledger, task)
    group = Asset(GROUP_ASSET.format(group=task.config.group_name))
    context["outlet_events"][AssetAlias(ASSET_ALIAS)].add(group, extra=counts)
    return counts


def _unfinished(catalogue: Catalogue, task: ImportTask) -> str:
    done = catalogue.plans.complete(task.id)
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


def _running(catalogue: Catalogue, task_id: str, run: DagRunProtocol) -> ImportTask:
    """The task, if it is to be worked on.

    A run that began after the stop was cleared in Airflow. Should the listener have missed that, the keeper sees it
    within a round or two, and until then the task looks stopped.

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
    """End this task instance without a retry; what an operator has to mend is kept as the task's last error.

    A task instance of an earlier try may still be ending while its task is started again: it says nothing.
    """
    if isinstance(error, SourceError | FetchError):
        error = TaskFailed(f"the source cannot be read: {error}")
    if not isinstance(error, TaskStopped):
        catalogue.tasks.halt(task_id_of_run(run.run_id), str(error), run_began=_began(run))
    raise AirflowFailException(str(error)) from None
