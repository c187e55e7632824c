"""Who has a picture already: the rows that keep another one from importing the very same image (ADR 33)."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, or_, select, update

from face_import.catalogue.engine import reading
from face_import.catalogue.records import ImportTask
from face_import.catalogue.schema import HAS_TURN, holding, import_task, outcome, sent
from face_import.catalogue.turns import in_progress, next_turn
from face_import.contract import Code, TaskState
from face_import.domain.models import Holding

MOST_HOLDERS = 5
"""Rows of an entry with one picture that are looked at. There is one, unless they were imported unguarded."""


class Twin(NamedTuple):
    """A row with the very same picture.

    Attributes:
        face_id: its face, if an earlier import of the entry has handled it: somebody may have deleted it since. Empty
            if the face is known to be there.
    """

    task_id: str
    row: int
    face_id: str = ""


class Pictures:
    """Finds rows by the digest of their image, as it is in the journal after their turn.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def of_task(self, task_id: str, row: int, picture: bytes) -> list[Twin]:
        """Another row of a task that has imported a picture, or has its face in the group and an earlier turn."""
        same = (outcome.c.task_id == task_id, outcome.c.picture == picture, outcome.c.row != row)
        imported = select(outcome.c.task_id, outcome.c.row).where(
            *same, outcome.c.code == Code.OK, outcome.c.face_id != ""
        )
        with self._reader.begin() as connection:  # asked in the order in which a row passes from one to the other
            earlier = _in_flight(connection, (task_id, row), picture, {task_id})
            return earlier or [Twin(*found) for found in connection.execute(imported.limit(1))]

    def of_entry(self, task: ImportTask, row: int, key: bytes, picture: bytes) -> list[Twin]:
        """Other rows of a recurring import whose face is of a picture, or that are in flight with an earlier turn.

        Nobody if the entry has a face of this picture for this very row: then the others are kept out.

        Args:
            task: an import of the entry.
            row: the row.
            key: identifies the row across the entry's files.
            picture: digest of the image's bytes.
        """
        held = holding.c
        query = select(held.key == key, held.task_id, held.row, held.face_id, held.pending)
        query = query.where(*_of_entry(task), held.picture == picture)
        query = query.order_by((held.key == key).desc(), (held.task_id == task.id).desc()).limit(MOST_HOLDERS)
        with self._reader.begin() as connection:
            earlier = _in_flight(connection, (task.id, row), picture, _imports(connection, task))
            found = connection.execute(query).all()
        if any(is_own for is_own, *_ in found):
            return []
        # of a pending one another face may be in the group by now, or come into it
        settled = [
            Twin(by, its_row, "" if by == task.id or pending else face_id) for _, by, its_row, face_id, pending in found
        ]
        return earlier or settled

    def regain(self, task: ImportTask, row: int, held: Holding, picture: bytes, free: Collection[Twin]) -> Twin | None:
        """Give a row the picture of its face back, which it had given up, unless another row has it by now.

        The row has no turn, but nobody takes one meanwhile: whoever has one is seen here, and whoever gets one later
        sees that this row has its picture.

        Args:
            task: an import of the entry.
            row: the row.
            held: its holding.
            picture: digest of the image's bytes.
            free: rows that have the picture, but are known to have no face any more.
        """
        its = holding.c
        others = select(its.task_id, its.row).where(*_of_entry(task), its.picture == picture, its.key != held.key)
        own = (*_of_entry(task), its.key == held.key, its.digest == held.digest, its.picture == b"")
        with self._engine.begin() as connection:
            turn = next_turn(connection, task.id)
            found = _in_flight(connection, (task.id, row), picture, _imports(connection, task), own=turn)
            found += [Twin(*other) for other in connection.execute(others.limit(MOST_HOLDERS))]
            gone = {(twin.task_id, twin.row) for twin in free}
            twin = next((twin for twin in found if (twin.task_id, twin.row) not in gone), None)
            if twin is None:
                connection.execute(update(holding).where(*own).values(picture=picture))
            return twin


def _of_entry(task: ImportTask) -> tuple[ColumnElement[bool], ...]:
    return holding.c.entry == task.config.entry, holding.c.group_name == task.config.group_name


def _imports(connection: Connection, task: ImportTask) -> set[str]:
    """The imports of a task's entry that may have rows in flight."""
    columns = import_task.c
    query = select(columns.id).where(columns.group_name == task.config.group_name, columns.entry == task.config.entry)
    query = query.where(columns.state != TaskState.COMPLETED, in_progress())
    return {task.id, *connection.scalars(query)}


def _in_flight(
    connection: Connection, which: tuple[str, int], picture: bytes, imports: Collection[str], own: int | None = None
) -> list[Twin]:
    """A row of some imports without an outcome, with a picture and an earlier turn; found by `ix_sent_digest`."""
    task_id, row = which
    if own is None:
        own = connection.scalar(select(sent.c.turn).where(sent.c.task_id == task_id, sent.c.row == row))
    if own is None:
        return []
    handled = exists().where(outcome.c.task_id == sent.c.task_id, outcome.c.row == sent.c.row)
    before = or_(sent.c.turn < own, and_(sent.c.turn == own, sent.c.row < row))
    another = or_(sent.c.task_id != task_id, sent.c.row != row)
    same = select(sent.c.task_id, sent.c.row).where(sent.c.task_id.in_(imports), sent.c.digest == picture)
    query = same.where(~handled, HAS_TURN, before, another).limit(1)
    return [Twin(*found) for found in connection.execute(query)]
