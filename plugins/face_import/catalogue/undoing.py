"""Undoing an import: a task that removes the faces which another one has added (ADR 34).

What was removed is forgotten with its outcome, in one transaction: the other import's row and its entry's holding say
no longer that the face is in the group.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, insert, or_, select, update

from face_import.catalogue.attempts import undo_of
from face_import.catalogue.engine import reading
from face_import.catalogue.records import ImportTask, TaskConfig, load, new_task_values
from face_import.catalogue.schema import UNDONE, holding, import_task, outcome, sent
from face_import.catalogue.tasks import STATE_WORDS
from face_import.contract import Code, Mode, TaskState
from face_import.domain.models import Change, Limits, Outcome, Shard
from face_import.errors import TaskNotFound, WrongState


class FaceOfRow(NamedTuple):
    """A face that a row has added: its id, and when the row's outcome was recorded."""

    face_id: str
    at: float


class Undoing:
    """Makes tasks that undo others, and says what these have added.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def check(self, task_id: str) -> None:
        """Check that a task can be undone, or is being undone already.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it has not ended, is an undo itself, or has no face in its group.
        """
        with self._reader.begin() as connection:
            _check(connection, task_id)

    def begin(self, task_id: str, undo_id: str) -> ImportTask:
        """Create a task that undoes another one, or return the one that is not completed yet.

        Args:
            task_id: the task to undo.
            undo_id: id of the new task.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: as for `check`.
        """
        with self._engine.begin() as connection:
            task = _check(connection, task_id, lock=True)
            if earlier := undo_of(connection, task_id):
                return load(connection, earlier)
            config = TaskConfig(
                group_name=task.config.group_name,
                source=f"undo of {task_id}",
                limits=Limits(),
                thread_num=task.config.thread_num,
                mode=Mode.SKIP,
                entry=task.config.entry,
                undoes=task_id,
            )
            connection.execute(
                insert(import_task).values(new_task_values(undo_id, undo_id, config, TaskState.CREATED, 0))
            )
            return load(connection, undo_id)

    def added(self, task_id: str, part: Shard) -> dict[int, FaceOfRow]:
        """The faces that a shard's rows have added, as far as they were not removed since; by row.

        Among them are those that a change of limits is to remove, and that has not been carried out.

        Raises:
            TaskNotFound: the task was deleted, so what is left of its outcomes is not all.
        """
        rows = part.first_row, part.last_row
        query = select(outcome.c.row, outcome.c.face_id, outcome.c.handled_at).where(_added_by(task_id))
        pending = select(sent.c.row, sent.c.face_id, sent.c.removal).where(_to_remove(task_id))
        with self._reader.begin() as connection:
            left = connection.execute(pending.where(sent.c.row.between(*rows))).all()  # first: these become outcomes
            found = connection.execute(query.where(outcome.c.row.between(*rows))).all()
            _alive(connection, task_id)  # afterwards: outcomes are removed only when the task has been deleted
        faces = {row: FaceOfRow(face_id, removal["added_at"]) for row, face_id, removal in left}
        return faces | {row: FaceOfRow(face_id, at) for row, face_id, at in found}


def settle_undone(connection: Connection, task_id: str, outcomes: Sequence[Outcome]) -> None:
    """Forget the faces that an undo has removed, in the transaction that writes its outcomes."""
    removed = [(o, o.undone) for o in outcomes if o.undone is not None]
    if not removed:
        return
    columns = import_task.c
    undoes, entry, group = connection.execute(
        select(columns.undoes, columns.entry, columns.group_name).where(columns.id == task_id)
    ).one()
    rows = [added.row for _, added in removed]
    theirs = outcome.c.row.between(min(rows), max(rows)) & outcome.c.row.in_(rows)  # the range: see `ledger._unwritten`
    forget = update(outcome).where(outcome.c.task_id == undoes, theirs, outcome.c.code == Code.OK)
    connection.execute(forget.values(face_id="", message=f"{UNDONE}{task_id}", nearest_id=None))
    connection.execute(delete(sent).where(_to_remove(undoes), sent.c.row.in_(rows)))
    for o, key in [(o, added.key) for o, added in removed if added.key]:
        held = (holding.c.entry == entry) & (holding.c.group_name == group) & (holding.c.key == key)
        connection.execute(delete(holding).where(held, holding.c.task_id == task_id, holding.c.row == o.row))


def _check(connection: Connection, task_id: str, *, lock: bool = False) -> ImportTask:
    task = _alive(connection, task_id, lock=lock)
    if task.config.undoes:
        raise WrongState(f"task {task_id} is the undo of task {task.config.undoes}; import that file again instead")
    if task.state not in {TaskState.STOPPED, TaskState.COMPLETED}:
        raise WrongState(f"task {task_id} is {STATE_WORDS[task.state]}; it can be undone after it has ended")
    has_faces = select(or_(exists().where(_added_by(task_id)), exists().where(_to_remove(task_id))))
    if not undo_of(connection, task_id) and not connection.scalar(has_faces):
        raise WrongState(f"task {task_id} has no faces in its group, so there is nothing to undo")
    return task


def _alive(connection: Connection, task_id: str, *, lock: bool = False) -> ImportTask:
    task = load(connection, task_id, lock=lock)
    if task.deleted_at is not None:
        raise TaskNotFound(f"there is no task {task_id!r}")
    return task


def _added_by(task_id: str) -> ColumnElement[bool]:
    """Rows that have added a face; unchanged ones of an entry were added by an earlier import."""
    imported = (outcome.c.code == Code.OK) & (outcome.c.face_id != "") & (outcome.c.message != Change.UNCHANGED)
    return (outcome.c.task_id == task_id) & imported


def _to_remove(task_id: str) -> ColumnElement[bool]:
    """Entries of faces that a change of the task's limits is to remove."""
    return (sent.c.task_id == task_id) & sent.c.removal.is_not(None)
