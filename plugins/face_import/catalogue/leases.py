"""Leases fence the tries of a shard, and their grants share out the concurrency, `thread_num` (design decision 3).

A try may work on a shard only while it holds the shard's lease. A grant is how many rows of the holder may have a
call in flight; the live grants of a task never sum to more than its `thread_num`. Every call is one short transaction
that locks the task's row first and the shard's second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Engine, RowMapping, select, update

from face_import.catalogue.engine import reading
from face_import.catalogue.schema import import_task, now, shard
from face_import.contract import TaskState
from face_import.errors import LeaseLost, TaskStopped

ENDING_S = 60.0
"""How long after its stop or delete a task may have live leases: far more than its last rows take. So nobody has to
look at the shards of all tasks that ever were."""


@dataclass(frozen=True, slots=True)
class Lease:
    """State of a lease, as returned to its holder.

    Attributes:
        running: whether rows may still start; False once the task was stopped, deleted or started again.
        grant: rows of the holder that may have a call in flight from now on.
        attempt: the task's attempt when the lease was taken; a later one ends it.
        in_doubt: whether an earlier try died: the add of any row without an outcome may have been sent.
    """

    running: bool
    grant: int
    attempt: int
    in_doubt: bool = False


class Taken(NamedTuple):
    """A lease that another try holds, or held when it died.

    Attributes:
        owner: uuid of the try's task instance.
        until: when it expires, by the database's clock.
        expired: whether it has, by that clock.
    """

    owner: str
    until: float
    expired: bool


def share_out(concurrency: int, wants: Sequence[int]) -> list[int]:
    """Divide `concurrency` over the live shards of a task, in the order of their numbers.

    No shard gets more than it wants, and the others get what it leaves. The first gets about twice as many as the
    last: shards of equal size that started together then end one after the other, and the remaining ones use the
    concurrency of one that ended until its successor's process is up.

    >>> share_out(9, [100, 100])
    [6, 3]
    >>> share_out(10, [1, 100, 100])
    [1, 6, 3]
    """
    grants = [0] * len(wants)
    hungry = [i for i, want in enumerate(wants) if want > 0]
    while concurrency > 0 and hungry:
        weights = {i: max(1, 2 * (len(wants) - 1) - i) for i in hungry}
        budget, total = concurrency, sum(weights.values())
        for i in hungry:
            extra = min(max(1, budget * weights[i] // total), wants[i] - grants[i], concurrency)
            grants[i] += extra
            concurrency -= extra
        hungry = [i for i in hungry if grants[i] < wants[i]]
    return grants


class Leases:
    """Takes, renews and releases leases.

    Args:
        engine: write engine of the catalogue.
        ttl_s: seconds a lease lives without renewal.
    """

    def __init__(self, engine: Engine, ttl_s: float) -> None:
        self._engine = engine
        self._ttl_s = ttl_s

    def take(  # noqa: PLR0913 - what a new holder is and needs
        self,
        task_id: str,
        number: int,
        owner: str,
        wants: int,
        *,
        instead_of: Taken | None = None,
        ttl_s: float = 0.0,
    ) -> Lease | None:
        """Take the lease of a shard; None while another try holds it.

        Args:
            task_id: the import task.
            number: the shard.
            owner: uuid of the try's task instance.
            wants: rows that the holder could have in flight.
            instead_of: what `held` has returned, if the holder has not renewed it for so long that it must be dead. The
                database's clock alone proves nothing: it may have been set.
            ttl_s: seconds that it lives without renewal, if longer than usual.

        Raises:
            TaskStopped: the task is not running.
        """
        with self._engine.begin() as connection:
            task = _locked_task(connection, task_id)
            if not _running(task):
                raise TaskStopped(f"task {task_id} is not running")
            row = _shard(connection, task_id, number)
            another = row["lease_owner"] not in {None, owner}
            if another and (instead_of is None or (row["lease_owner"], row["lease_until"]) != instead_of[:2]):
                return None
            grant = self._set(connection, task, number, owner, wants=wants, using=0, ttl_s=ttl_s)
            taken = update(shard).where(shard.c.task_id == task_id, shard.c.number == number)
            connection.execute(taken.values(in_doubt=True))  # until the lease is released
            return Lease(running=True, grant=grant, attempt=task["attempt"], in_doubt=row["in_doubt"])

    def renew(  # noqa: PLR0913 - a renewal carries the holder's whole situation
        self, task_id: str, number: int, owner: str, attempt: int, *, wants: int, using: int, ttl_s: float = 0.0
    ) -> Lease:
        """Renew a lease, report the shard's state, and get the new grant.

        A holder keeps renewing while it finishes its last rows: a successor must not start before.

        Args:
            task_id: the import task.
            number: the shard.
            owner: uuid of the try's task instance.
            attempt: the attempt under which the lease was taken.
            wants: rows that the holder could still have in flight.
            using: maximum rows in flight until it has read the result; a smaller grant frees slots for others only
                once the holder has come down to it.
            ttl_s: seconds that it lives without renewal, if longer than usual.

        Raises:
            LeaseLost: the lease expired, or another try holds it.
        """
        with self._engine.begin() as connection:
            task = _locked_task(connection, task_id)
            row = _shard(connection, task_id, number)
            if row["lease_owner"] != owner or not row["live"]:
                raise LeaseLost(f"lease of shard {number} of task {task_id} expired")
            running = _running(task) and task["attempt"] == attempt
            wants = wants if running else 0
            grant = self._set(connection, task, number, owner, wants=wants, using=using, ttl_s=ttl_s)
            return Lease(running=running, grant=grant, attempt=attempt)

    def give_back(self, task_id: str, number: int, owner: str, *, in_doubt: bool) -> None:
        """Release a lease; `in_doubt` says whether the add of any row without an outcome may have been sent."""
        with self._engine.begin() as connection:
            connection.execute(
                update(shard)
                .where(shard.c.task_id == task_id, shard.c.number == number, shard.c.lease_owner == owner)
                .values(lease_owner=None, lease_until=0.0, lease_wants=0, lease_grant=0, in_doubt=in_doubt)
            )

    def held(self, task_id: str, number: int) -> Taken | None:
        """The lease of a shard, unless it was given back."""
        with reading(self._engine).begin() as connection:
            row = _shard(connection, task_id, number, lock=False)
        return Taken(row["lease_owner"], row["lease_until"], not row["live"]) if row["lease_owner"] else None

    def live(self, task_id: str) -> int:
        """Number of live leases of a task."""
        with reading(self._engine).begin() as connection:
            return len(_live(connection, task_id))

    def _set(  # noqa: PLR0913
        self, connection: Connection, task: RowMapping, number: int, owner: str, *, wants: int, using: int, ttl_s: float
    ) -> int:
        others = [row for row in _live(connection, task["id"]) if row["number"] != number]
        numbers = sorted([row["number"] for row in others] + [number])
        by_number = {row["number"]: row["lease_wants"] for row in others} | {number: wants}
        concurrency = 0 if task["paused"] else task["thread_num"]
        fair = share_out(concurrency, [by_number[n] for n in numbers])[numbers.index(number)]
        free = concurrency - sum(row["lease_grant"] for row in others)
        grant: int = max(0, min(fair, free))
        connection.execute(
            update(shard)
            .where(shard.c.task_id == task["id"], shard.c.number == number)
            .values(
                lease_owner=owner,
                lease_until=now() + max(self._ttl_s, ttl_s),
                lease_wants=wants,
                lease_grant=max(grant, using),
            )
        )
        return grant


def _locked_task(connection: Connection, task_id: str) -> RowMapping:
    """Lock the task's row: renewals of one task are serialised, so grants add up."""
    columns = import_task.c
    task = (
        connection.execute(
            select(columns.id, columns.state, columns.attempt, columns.thread_num, columns.paused, columns.deleted_at)
            .where(columns.id == task_id)
            .with_for_update()
        )
        .mappings()
        .one_or_none()
    )
    if task is None:
        raise TaskStopped(f"task {task_id} was deleted")
    return task


def _running(task: RowMapping) -> bool:
    return task["state"] == TaskState.RUNNING and task["deleted_at"] is None


def _shard(connection: Connection, task_id: str, number: int, *, lock: bool = True) -> RowMapping:
    columns = shard.c
    live = (columns.lease_until > now()).label("live")
    query = select(columns.lease_owner, columns.lease_until, columns.in_doubt, live)
    query = query.where(columns.task_id == task_id, columns.number == number)
    return connection.execute(query.with_for_update() if lock else query).mappings().one()


def _live(connection: Connection, task_id: str) -> Sequence[RowMapping]:
    columns = shard.c
    return (
        connection.execute(
            select(columns.number, columns.lease_wants, columns.lease_grant).where(
                columns.task_id == task_id, columns.lease_until > now()
            )
        )
        .mappings()
        .all()
    )
