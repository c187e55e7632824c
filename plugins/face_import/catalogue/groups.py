"""What the catalogue knows of a face group: its imports, and the rows that its faces come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, TextClause, func, select

from face_import.catalogue.engine import reading
from face_import.catalogue.schema import OWN_ID, import_task, outcome, tally
from face_import.contract import Code, TaskState
from face_import.domain.identity import maker_of


@dataclass(frozen=True, slots=True)
class GroupImports:
    """The imports into a group.

    Attributes:
        by_state: their number by state; states without any are missing.
        imported: rows that they have imported; those of dry runs and undos do not count.
        failed: rows that failed, likewise.
    """

    by_state: dict[TaskState, int]
    imported: int
    failed: int

    @property
    def total(self) -> int:
        """Number of imports."""
        return sum(self.by_state.values())


class Origin(NamedTuple):
    """The row that a face comes from."""

    task_id: str
    row: int
    uri: str


class GroupRecord:
    """Reads what is known of one group; deleted tasks do not count.

    Args:
        engine: engine of the catalogue.
        group: name of the group.
    """

    def __init__(self, engine: Engine, group: str) -> None:
        self._reader = reading(engine)
        self._there = (import_task.c.group_name == group) & import_task.c.deleted_at.is_(None)

    def imports(self) -> GroupImports:
        """The group's imports; costs O(tallies of these)."""
        states = select(import_task.c.state, func.count()).where(self._there).group_by(import_task.c.state)
        adds = (import_task.c.dry_run == 0) & (import_task.c.undoes == "")
        rows = (
            select(tally.c.code, func.sum(tally.c.rows))
            .join(import_task, import_task.c.id == tally.c.task_id)
            .where(self._there, adds)
            .group_by(tally.c.code)
        )
        with self._reader.begin() as connection:
            by_state = {TaskState(state): number for state, number in connection.execute(states)}
            by_code = {code: int(number) for code, number in connection.execute(rows)}
        imported = by_code.pop(Code.OK, 0)
        return GroupImports(by_state, imported, sum(by_code.values()))

    def origins(self, face_ids: Sequence[str]) -> dict[str, Origin]:
        """The rows that faces come from, by the faces' ids; of several with an id, the one that was handled last.

        Faces that no row is known of are missing: others have added them, or the import was deleted.
        """
        with self._reader.begin() as connection:
            found = {face_id: self._origin(connection, face_id) for face_id in face_ids}
        return {face_id: origin for face_id, origin in found.items() if origin is not None}

    def _origin(self, connection: Connection, face_id: str) -> Origin | None:
        maker = maker_of(face_id)
        if maker is not None:
            task_id, row = maker
            made = (outcome.c.task_id == task_id) & (outcome.c.row == row) & (outcome.c.code == Code.OK)
            if origin := self._newest(connection, made, face_id):
                return origin
        return self._newest(connection, OWN_ID, face_id)

    def _newest(self, connection: Connection, which: ColumnElement[bool] | TextClause, face_id: str) -> Origin | None:
        query = (
            select(outcome.c.task_id, outcome.c.row, outcome.c.uri)
            .join(import_task, import_task.c.id == outcome.c.task_id)
            .where(which, outcome.c.face_id == face_id, self._there)
            .order_by(outcome.c.handled_at.desc())
            .limit(1)
        )
        found = connection.execute(query).one_or_none()
        return None if found is None else Origin(*found)
