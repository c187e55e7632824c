"""Rows as the pages show them: whose they are, what became of them, and what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from api_shim.app_context import AppContext
from face_console.neighbours import Neighbour, neighbours_of
from face_console.snapshot import meaning
from face_import.catalogue import ImportTask, LogEntry
from face_import.catalogue.schema import MEASURED
from face_import.contract import Code
from face_import.errors import RequestError, SourceError
from face_import.results import Found, Results, fields_of

WITHOUT_PICTURE = frozenset({None, Code.URI_UNREACHABLE, Code.SYSTEM})
"""Codes of rows without an image to show: it could not be downloaded, or the row names none, or it was not tried."""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row of the file.

    Attributes:
        code: None without an outcome.
        meaning: that of its code; empty without an outcome.
        measured: by name, only what was measured.
        neighbour: the face because of which its tag is doubtful, if it is.
    """

    number: int
    id: str
    tag: str
    uri: str
    code: int | None
    meaning: str
    message: str
    face_id: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)
    neighbour: Neighbour | None = None

    @property
    def pictured(self) -> bool:
        """Whether its image may be shown."""
        return bool(self.uri) and self.code not in WITHOUT_PICTURE


def found_rows(task: ImportTask, found: Found) -> Iterator[ShownRow]:
    """The rows that a search has found."""
    neighbours = neighbours_of(task, [result[0] for result, _ in found.rows])
    for (number, code, _, message, face_id, *values), (_, cells) in found.rows:
        cell = fields_of(cells, found.columns)
        measured = {name: value for name, value in zip(MEASURED, values, strict=True) if value is not None}
        meant = "" if code is None else meaning(task, code)
        yield ShownRow(number, *_whose(cell), code, meant, message, face_id, measured, neighbours.get(number))


def logged_rows(context: AppContext, task: ImportTask, entries: Sequence[LogEntry]) -> Iterator[ShownRow]:
    """Entries of the log, with the cells of their rows; without these, if the file cannot be read."""
    if not entries:
        return
    try:
        cells = Results(context.catalogue, context.storage, task.id).cells([entry.row for entry in entries])
    except (RequestError, SourceError, OSError):
        cells = {}
    neighbours = neighbours_of(task, [entry.row for entry in entries])
    for entry in entries:
        whose = _whose(cells.get(entry.row, {"uri": entry.uri}))
        meant = meaning(task, entry.code)
        yield ShownRow(entry.row, *whose, entry.code, meant, entry.message, neighbour=neighbours.get(entry.row))


def _whose(cell: Mapping[str, str]) -> tuple[str, str, str]:
    """Id, tag and URI; empty where the file has no such column."""
    return cell.get("id", ""), cell.get("tag", ""), cell.get("uri", "")
