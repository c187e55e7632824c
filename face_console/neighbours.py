"""The faces because of which rows have a doubtful tag, to be shown beside these rows."""

from collections.abc import Collection
from typing import NamedTuple

from api_shim.app_context import app_context
from face_import.catalogue import GroupRecord, ImportTask, Origin


class Neighbour(NamedTuple):
    """The face that a row resembles, or the one of its own tag that it resembles most.

    Attributes:
        score: the face library's.
        origin: the row that it comes from; None if no import on record has added it.
    """

    face_id: str
    score: float
    origin: Origin | None


def neighbours_of(task: ImportTask, rows: Collection[int]) -> dict[int, Neighbour]:
    """The neighbours of those rows of a task whose tag is doubtful, by row."""
    catalogue = app_context().catalogue
    nearest = catalogue.outcomes.nearest(task.id, rows)
    origins = GroupRecord(catalogue.engine, task.config.group_name).origins([face.face_id for face in nearest.values()])
    return {row: Neighbour(*face, origins.get(face.face_id)) for row, face in nearest.items()}
