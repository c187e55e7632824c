"""Who has a picture already: the rows that keep another one from importing the very same image (ADR 33)."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, Engine, and_, exists, or_, select

from face_import.catalogue.engine import reading
from face_import.catalogue.records import ImportTask
from face_import.catalogue.schema import HAS_TURN, holding, import_task, outcome, sent
from face_import.catalogue.turns import in_progress
from face_import.contract import Code, TaskState

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
        entry, group = task.config.entry, task.config.group_name
        columns, held = import_task.c, holding.c
        imports = select(columns.id).where(columns.group_name == group, columns.entry == entry)
        imports = imports.where(columns.state != TaskState.COMPLETED, in_progress())  # others have nothing in flight
        same = (held.entry == entry, held.group_name == group, held.picture == picture)
        query = select(held.key == key, held.task_id, held.row, held.face_id, held.pending).where(*same)
        query = query.order_by((held.key == key).desc(), (held.task_id == task.id).desc()).limit(MOST_HOLDERS)
        with self._reader.begin() as connection:
            earlier = _in_flight(connection, (task.id, row), picture, {task.id, *connection.scalars(imports)})
            found = connection.execute(query).all()
        if any(is_own for is_own, *_ in found):
            return []
        # of a pending one another face may be in the group by now, or come into it
        settled = [
            Twin(by, its_row, "" if by == task.id or pending else face_id) for _, by, its_row, face_id, pending in found
        ]
        return earlier or settled


def _in_flight(connection: Connection, which: tuple[str, int], picture: bytes, imports: Collection[str]) -> list[Twin]:
    """A row of some imports without an outcome, with a picture and an earlier turn; found by `ix_sent_digest`."""
    task_id, row = which
    own = connection.scalar(select(sent.c.turn).where(sent.c.task_id == task_id, sent.c.row == row))
    if own is None:
        return []
    handled = exists().where(outcome.c.task_id == sent.c.task_id, outcome.c.row == sent.c.row)
    before = or_(sent.c.turn < own, and_(sent.c.turn == own, sent.c.row < row))
    same = select(sent.c.task_id, sent.c.row).where(sent.c.task_id.in_(imports), sent.c.digest == picture)
    query = same.where(~handled, HAS_TURN, before).limit(1)
    return [Twin(*found) for found in connection.execute(query)]
