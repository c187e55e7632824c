"""What monitoring asks: whether the catalogue answers, and how much of what there is."""

from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from face_import.catalogue.engine import reading
from face_import.catalogue.schema import import_task, now, shard, tally
from face_import.contract import TaskState

_ENDING_S = 60.0
"""For so long after its stop a task may have live leases; far above the grace of rows in flight."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All imports at one moment.

    Attributes:
        tasks: imports that are not deleted, by state; states without any are missing.
        rows: rows with an outcome, by code; those of a deleted import count until it is purged.
        shards: shards at work, which is those with a live lease.
        granted: most rows that these may have in flight.
        start_pending_s: seconds since the oldest start that has not reached Airflow; 0 without one.
        purge_pending_s: seconds since the oldest delete whose remains are still there; 0 without one.
    """

    tasks: dict[TaskState, int]
    rows: dict[int, int]
    shards: int
    granted: int
    start_pending_s: float
    purge_pending_s: float


def read_figures(engine: Engine) -> Figures:
    """Read them in one snapshot; costs O(tasks + tallies + shards of running tasks), never the ledger's rows."""
    task = import_task.c
    kept, running = task.deleted_at.is_(None), task.state == TaskState.RUNNING
    states = select(task.state, func.count()).where(kept).group_by(task.state)
    rows = select(tally.c.code, func.sum(tally.c.rows)).group_by(tally.c.code)
    # Shards of a task that has just stopped still end their rows; those of all others need not be looked at.
    busy = select(task.id).where(running | (task.stopped_at > now() - _ENDING_S) | task.deleted_at.is_not(None))
    live = select(func.count(), func.coalesce(func.sum(shard.c.lease_grant), 0)).where(
        shard.c.task_id.in_(busy), shard.c.lease_until > now()
    )
    lost = select(func.coalesce(now() - func.min(task.started_at), 0.0)).where(
        kept, running, task.launched_attempt < task.attempt
    )
    buried = select(func.coalesce(now() - func.min(task.deleted_at), 0.0)).where(task.deleted_at.is_not(None))
    with reading(engine).begin() as connection:
        shards, granted = connection.execute(live).one()
        return Figures(
            tasks={TaskState(state): count for state, count in connection.execute(states)},
            rows={code: int(count) for code, count in connection.execute(rows)},
            shards=shards,
            granted=int(granted),
            start_pending_s=max(0.0, connection.execute(lost).scalar_one()),
            purge_pending_s=max(0.0, connection.execute(buried).scalar_one()),
        )


def check_tables(engine: Engine) -> None:
    """Raise SQLAlchemy's error if the database does not answer, or has no tables of ours; waits for no writer."""
    with reading(engine).begin() as connection:
        connection.execute(select(import_task.c.id).limit(1))
