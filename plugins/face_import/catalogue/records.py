"""Import tasks as values, and how they are read from the catalogue."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from face_import.catalogue.schema import import_task, now
from face_import.contract import MEANINGS, PASSED, REMOVED, Code, Mode, TaskState
from face_import.domain.guard import GUARD, NO_GUARD, Guard
from face_import.domain.identity import UPLOADED
from face_import.domain.models import FAILURE_POLICY, LIMITS, NO_POLICY, SCOPE, WHOLE, FailurePolicy, Limits, Scope
from face_import.domain.reading import AS_FOUND, Reading, ReadingOptions
from face_import.errors import TaskNotFound

_NOT_SHOWN = {
    *("hosts_version", "control_owner", "control_until", "create_key", "create_digest", "source_url"),
    *("handled_before", "handled_since"),
}
"""Columns for one operation each; `source_url` may contain secrets."""


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """Configuration of a task.

    Attributes:
        source: where the rows came from, for display: a file name, or a URL without its secrets.
        host_threads: fetches from one image host at a time; 0 for no other bound than `thread_num`.
        entry: the recurring import whose new and changed rows only are imported; empty: import all rows.
        options: what the client says about how the source is read.
        policy: what failed rows do to the task and its run.
        guard: what keeps the wrong face out of the group.
        scope: how much of the import is done.
        callback_url: who is told when the task stops or completes; may contain secrets. Empty: nobody.
        undoes: the import task whose faces are removed, if that is what the task is for; its `entry` is that one's.
    """

    group_name: str
    source: str
    limits: Limits
    thread_num: int
    mode: Mode
    entry: str = ""
    options: ReadingOptions = AS_FOUND
    host_threads: int = 0
    policy: FailurePolicy = NO_POLICY
    guard: Guard = NO_GUARD
    scope: Scope = WHOLE
    undoes: str = ""
    callback_url: str = field(default="", repr=False)

    @property
    def counts_changes(self) -> bool:
        """Whether it imports changes only."""
        return bool(self.entry) and not self.undoes

    @property
    def success(self) -> str:
        """What code 0 means."""
        return REMOVED if self.undoes else PASSED if self.scope.dry_run else MEANINGS[Code.OK]

    @property
    def journals(self) -> bool:
        """Whether adds in doubt are in the journal: those of entries are in their holdings, the others have none."""
        return not self.entry and not self.scope.dry_run and not self.undoes


@dataclass(frozen=True, slots=True)
class ImportTask:
    """A snapshot of an import task. Times are seconds since the epoch, or None.

    Attributes:
        attempt: number of times it was started.
        launched_attempt: the last attempt for which Airflow is known to have a run.
        launched_at: when Airflow queued that run, by Airflow's own clock; a run queued later was cleared by a person,
            and a task instance of a run that began earlier belongs to an earlier attempt.
        paused: whether somebody set its pool in Airflow to 0 slots.
        notice: what it waited for when it was last running (`Notice`), or empty.
        total_num: rows of its source; 0 until the source is ingested.
        gone_num: rows that only earlier files of its entry have; None until it is completed.
        source_name: name of the stored source that its shards refer to.
        reading: how the source is read, as in `Reading.described`; None before it is, and for earlier releases' tasks.
    """

    id: str
    run_id: str
    config: TaskConfig
    state: TaskState
    attempt: int
    launched_attempt: int
    launched_at: float
    paused: bool
    last_error: str
    notice: str
    total_num: int
    gone_num: int | None
    source_name: str
    reading: dict[str, Any] | None
    created_at: float
    started_at: float | None
    stopped_at: float | None
    finished_at: float | None
    deleted_at: float | None

    @property
    def ended(self) -> bool:
        """Whether its Airflow run has to be ended; that of a completed task ends by itself."""
        return self.deleted_at is not None or self.state in {TaskState.CREATED, TaskState.STOPPED}

    @property
    def stopped_on_purpose(self) -> bool:
        """Whether somebody has stopped or deleted it, and no error has."""
        return self.ended and not self.last_error


def new_task_values(task_id: str, run_id: str, config: TaskConfig, state: TaskState, total_num: int) -> dict[str, Any]:
    """The columns of a new task; a running one has been started once."""
    running = state == TaskState.RUNNING
    return {
        "id": task_id,
        "run_id": run_id,
        "group_name": config.group_name,
        **asdict(config.limits),
        "thread_num": config.thread_num,
        "host_threads": config.host_threads,
        "mode": int(config.mode),
        **asdict(config.policy),
        **asdict(config.guard),
        **asdict(config.scope),
        "entry": config.entry,
        "undoes": config.undoes,
        "callback_url": config.callback_url,
        "source": config.source,
        "state": int(state),
        "attempt": int(running),
        "launched_attempt": int(running),
        "total_num": total_num,
        "source_name": UPLOADED,
        "reading_options": None if config.options == AS_FOUND else _json(asdict(config.options)),
        "created_at": now(),
        "started_at": now() if running else None,
    }


def reading_text(reading: Reading) -> str:
    """A reading as it is recorded with its task."""
    return _json(reading.described())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)  # in ASCII, lone surrogates would get past `Words`


def load(connection: Connection, task_id: str, *, lock: bool = False) -> ImportTask:
    """The task with this id, deleted or not; `lock` locks it for this transaction.

    Raises:
        TaskNotFound: there is none.
    """
    query = select(import_task).where(import_task.c.id == task_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise TaskNotFound(f"there is no task {task_id!r}")
    return task_of(row)


def load_by_run(connection: Connection, run_id: str) -> ImportTask | None:
    """The task of an Airflow run, locked, or None."""
    row = (
        connection.execute(select(import_task).where(import_task.c.run_id == run_id).with_for_update())
        .mappings()
        .one_or_none()
    )
    return None if row is None else task_of(row)


def task_of(row: RowMapping | dict[str, Any]) -> ImportTask:
    """A row of `import_task` as a value."""
    values = {name: value for name, value in row.items() if name not in _NOT_SHOWN}
    limits = Limits(**{name: values.pop(name) for name in LIMITS})
    config = TaskConfig(
        group_name=values.pop("group_name"),
        source=values.pop("source"),
        limits=limits,
        thread_num=values.pop("thread_num"),
        host_threads=values.pop("host_threads"),
        mode=Mode(values.pop("mode")),
        entry=values.pop("entry"),
        undoes=values.pop("undoes"),
        callback_url=values.pop("callback_url"),
        policy=FailurePolicy(**{name: values.pop(name) for name in FAILURE_POLICY}),
        guard=Guard.of({name: values.pop(name) for name in GUARD}),
        scope=Scope(**{name: values.pop(name) for name in SCOPE}),
        options=ReadingOptions(**json.loads(values.pop("reading_options") or "{}")),
    )
    reading = json.loads(values.pop("reading") or "null")
    return ImportTask(config=config, state=TaskState(values.pop("state")), reading=reading, **values)
