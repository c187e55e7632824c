"""Turns: which of two faces was first in a group, if neither row could see the other (ADR 33).

A guarded row compares its face with the group once more after its add. It takes its turn in between, so of two rows
that see each other's faces exactly one is the later: that one goes. Turns of a group are taken one transaction after
the other, since all change its row of the table `turn`; whoever has no turn yet takes a later one, and looks after it.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    LargeBinary,
    and_,
    bindparam,
    exists,
    literal,
    or_,
    select,
    update,
)

from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.journal import check_lease
from face_import.catalogue.schema import import_task, now, outcome, sent, shard, turn
from face_import.contract import TaskState


class Turns:
    """Gives and compares turns; every method is one short transaction.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def take(self, task_id: str, number: int, owner: str, rows: Sequence[tuple[int, bytes]]) -> None:
        """Give rows whose face is in the group their turn; one that has its turn with the same picture keeps it.

        Now that it is known which picture the group has of a row, the journal says so: what an earlier try noted may
        have been another one, or none.

        Args:
            task_id: the import task.
            number: the shard.
            owner: the task instance that holds the shard's lease.
            rows: rows with an entry in the journal, each with the digest of its picture. They share a turn, and their
                numbers are their order.

        Raises:
            LeaseLost: another try owns the shard, or the task was deleted.
        """
        with self._engine.begin() as connection:
            check_lease(connection, task_id, number, owner)
            given = next_turn(connection, task_id)
            picture = bindparam("picture", type_=LargeBinary)
            waiting = or_(sent.c.turn.is_(None), sent.c.digest != picture)
            ours = update(sent).where(sent.c.task_id == task_id, sent.c.row == bindparam("number"), waiting)
            values = [{"number": row, "picture": digest} for row, digest in rows]
            connection.execute(ours.values(turn=given, digest=picture), values)

    def give_up(self, task_id: str, number: int, owner: str, row: int) -> None:
        """Take a row's turn back before its face is: should the try die, the next one is later than all others.

        Raises:
            LeaseLost: another try owns the shard, or the task was deleted.
        """
        with self._engine.begin() as connection:
            check_lease(connection, task_id, number, owner)
            connection.execute(update(sent).where(sent.c.task_id == task_id, sent.c.row == row).values(turn=None))

    def later(self, task_id: str, row: int, ids: Collection[str]) -> set[str]:
        """Which of these faces of the group are of rows that are later than a row, and will look after themselves.

        All others are there to stay: their outcome is in the ledger, nobody works on their row, or they are not ours.
        """
        mine = select(sent.c.turn).where(sent.c.task_id == task_id, sent.c.row == row)
        group = select(import_task.c.group_name).where(import_task.c.id == task_id).scalar_subquery()
        with self._reader.begin() as connection:
            own = literal(connection.scalar(mine), BigInteger)
            after = or_(sent.c.turn.is_(None), sent.c.turn > own, and_(sent.c.turn == own, sent.c.row > row))
            handled = exists().where(outcome.c.task_id == sent.c.task_id, outcome.c.row == sent.c.row)
            query = select(sent.c.face_id).join(import_task, import_task.c.id == sent.c.task_id)
            query = query.where(sent.c.face_id.in_(ids), import_task.c.group_name == group, ~handled, in_progress())
            query = query.where(after)
            return set(connection.scalars(query))


def next_turn(connection: Connection, task_id: str) -> int:
    """The next turn of a task's group; until the transaction ends, nobody else gets one."""
    group = select(import_task.c.group_name).where(import_task.c.id == task_id).scalar_subquery()
    first = upsert_for(connection.dialect)(turn).values(group_name=group, last=1)
    following = first.on_conflict_do_update(index_elements=[turn.c.group_name], set_={"last": turn.c.last + 1})
    return int(connection.execute(following.returning(turn.c.last)).scalar_one())


def in_progress() -> ColumnElement[bool]:
    """Whether an import is worked on, so that its rows get their outcome without anybody starting it again."""
    task = import_task.c
    ending = exists().where(shard.c.task_id == task.id, shard.c.lease_until > now())
    return and_(task.deleted_at.is_(None), or_(task.state == TaskState.RUNNING, ending))
