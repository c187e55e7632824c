"""Value types: rows, limits, faces, outcomes, shards. No I/O."""

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, NamedTuple

from face_import.contract import MAX_ROW, Code, Reason
from face_import.domain.reading import Reading
from face_import.errors import RefusalKind


@dataclass(frozen=True, slots=True)
class Limit:
    """Description of one limit or number, for every form, parameter and page.

    Attributes:
        title: label.
        most: maximum value.
        unit: unit in words.
        symbol: symbol of the unit, or empty.
    """

    title: str
    most: int
    unit: str
    symbol: str = ""


def _limit(title: str, most: int, unit: str, symbol: str = "") -> Any:
    return field(default=0, metadata={"limit": Limit(title, most, unit, symbol)})


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a task; 0 means no limit.

    Angles are compared by magnitude; sizes are those of the upright image.
    """

    pos_pitch: int = _limit("Maximum pitch", 180, "degrees", "°")
    pos_yaw: int = _limit("Maximum yaw", 180, "degrees", "°")
    pos_rol: int = _limit("Maximum roll", 180, "degrees", "°")
    width: int = _limit("Minimum face width", 100_000, "pixels", "px")
    height: int = _limit("Minimum face height", 100_000, "pixels", "px")
    blur_degree: int = _limit("Maximum blur", 100, "0 (sharp) to 100 (blurred)")
    faces: int = _limit("Maximum number of faces", 100, "in the image")


LIMITS: dict[str, Limit] = {limit.name: limit.metadata["limit"] for limit in fields(Limits)}
"""The limits by name, in order; parameters, form fields, columns and entries derive from these."""


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """What failed rows do to their task and its run in Airflow; 0 means nothing.

    Attributes:
        max_failed: rows of an attempt that may fail; one more stops the task.
        max_failed_percent: the same as a share of the rows handled in the attempt.
        fail_on_errors: 1 if the run of a task that was completed with failures fails; the task stays completed.
    """

    max_failed: int = _limit("Maximum failed rows", MAX_ROW, "rows")
    max_failed_percent: int = _limit("Maximum share of failed rows", 100, "percent", "%")
    fail_on_errors: int = _limit("Fail the Airflow run if rows failed", 1, "0 (no) or 1 (yes)")


FAILURE_POLICY: dict[str, Limit] = {field.name: field.metadata["limit"] for field in fields(FailurePolicy)}
"""Its numbers by name, in order, from which everything derives as from `LIMITS`."""
NO_POLICY = FailurePolicy()


@dataclass(frozen=True, slots=True)
class Scope:
    """How much of an import is done; 0 means what is usual.

    Attributes:
        measure: 1 if all is measured, whatever the limits need.
        dry_run: 1 if all is measured and judged, and no face is added.
        sample: rows to handle, spread evenly over the file; 0 for all.
    """

    measure: int = _limit("Measure everything", 1, "0 (no) or 1 (yes)")
    dry_run: int = _limit("Dry run", 1, "0 (no) or 1 (yes)")
    sample: int = _limit("Sample", MAX_ROW, "rows")

    def rows_of(self, total: int) -> int:
        """How many rows are handled of a source of `total` rows."""
        return min(self.sample or total, total)


SCOPE: dict[str, Limit] = {field.name: field.metadata["limit"] for field in fields(Scope)}
"""Its numbers by name, in order, from which everything derives as from `LIMITS`."""
WHOLE = Scope()


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a source.

    Attributes:
        number: 1 for the first data record; headers and blank lines do not count.
        line: where the record begins, from 1: a physical line of the file, or a row of the workbook's sheet.
        problem: why the record cannot be imported at all (code 303), if so.
        in_sheet: whether `line` is a row of a sheet.
    """

    number: int
    line: int
    uri: str
    tag: str = ""
    description: str = ""
    id: str = ""
    problem: str = ""
    in_sheet: bool = False

    @property
    def place(self) -> str:
        """Where the record is, for messages."""
        return f"row {self.line} of the sheet" if self.in_sheet else f"line {self.line}"


@dataclass(frozen=True, slots=True)
class Pose:
    """Head pose in degrees."""

    pitch: float
    yaw: float
    roll: float


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face: the four corners of its box, clockwise from the top left, in pixels."""

    pts: tuple[tuple[float, float], ...]
    score: float = 0.0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels."""
        xs, ys = [p[0] for p in self.pts], [p[1] for p in self.pts]
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def width(self) -> int:
        """Width of the box in whole pixels."""
        return round(self.box[2] - self.box[0])

    @property
    def height(self) -> int:
        """Height of the box in whole pixels."""
        return round(self.box[3] - self.box[1])

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measurements of a row's chosen face; None if not needed or not available.

    `faces` is the number of faces in the image, `score` the detector's confidence; `pose_unknown` says that the pose
    was asked for, and the service could not tell it.
    """

    faces: int | None = None
    score: float | None = None
    width: int | None = None
    height: int | None = None
    pitch: float | None = None
    yaw: float | None = None
    roll: float | None = None
    blur: int | None = None
    pose_unknown: bool = False


class Change(StrEnum):
    """Change of a row since earlier runs of a recurring import."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows by change.

    Attributes:
        gone: rows of the entry's earlier imports that are no longer in the file; 0 until the import is completed.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0


@dataclass(frozen=True, slots=True)
class Removal:
    """What is known of a face that an import added and that is to be removed (ADR 32).

    Attributes:
        added_by: the import task that added it, from the row with the same number.
        added_at: when its outcome was recorded; another row with a later outcome has the id now.
        measured: what the face's limits are judged by.
        tried: whether its delete may have been sent.
    """

    added_by: str
    added_at: float
    measured: Measurements = Measurements()
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """Journal entry for a row's add or delete, written before it is sent: should the try die, the row is in doubt.

    Attributes:
        row: the row's number.
        face_id: id of the face to add or delete.
        digest: digest of what is added. If the row's image has changed since, finding it proves nothing.
        removal: of a delete.
    """

    row: int
    face_id: str
    digest: bytes
    removal: Removal | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """A recurring import's record of one row in its group.

    Attributes:
        key: identifies the row across files (`row_key`).
        face_id: id of the face that we added to the group: only this one may be deleted.
        digest: of the imported tag, description and image; empty if the row was never imported successfully.
        cells: digest of the row's cells and URI. `validator` vouches for the image only if the cells are the same.
        validator: the host's validator of this version of the image (`clients.validators`), or empty.
        pending: whether the face is being replaced. Without `sent_id`, the old face may still be in the group; with it,
            the old one is deleted, and the new one may be there.
        sent_id: id of the face that is being added, empty while the old one is being deleted.
        sent_digest: the new `digest`.
        shaky: whether a delete of this id was sent without a response: it may be executed late, and hit the new face.
        picture: digest of the image's bytes, by which the row keeps others from importing it (`same_picture`). Empty if
            the row has given the image up, None if it is unknown.
        task_id: the import that last handled it.
        row: its row in that import.
    """

    key: bytes
    face_id: str
    digest: bytes = b""
    cells: bytes = b""
    validator: str = ""
    pending: bool = False
    sent_id: str = ""
    sent_digest: bytes = b""
    shaky: bool = False
    picture: bytes | None = None
    task_id: str = ""
    row: int = 0


@dataclass(frozen=True, slots=True)
class Added:
    """Where a face that an undo is to remove comes from.

    Attributes:
        row: its row in the import that added it.
        at: when the outcome of that row was recorded.
        key: key of the holding that the import's entry had for it; empty without an entry.
    """

    row: int
    at: float
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class AddedFace(Row):
    """A row of an undo: a face to remove, whose id is the row's."""

    added: Added = Added(0, 0.0)


class Nearest(NamedTuple):
    """A face of the group that speaks against a row's: the most similar one, with the library's score."""

    face_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a row: code 0 with its face id, or an error code with a message.

    Attributes:
        refused: kind of a service's refusal that is not about the image. Whether the row or the service is to blame
            shows only in comparison with other rows (`pipeline.outage`).
        change: change of the row, for a recurring import that imports changes only.
        holding: the new holding of the row for such an import; None if unchanged.
        reason: why it failed, where the code does not say it: for 101, 102, 301 and 302, and for unknown poses.
        is_open: whether the face may be in the group nevertheless; its add stays in the journal.
        picture: digest of the image's bytes, if the task imports each image once and this row has.
        nearest: for faces with a doubtful tag, the one that the message is about.
        undone: for an undo, what it has removed.
        removed: whether this is what a change of limits asked for, so that it is no failure of the attempt.
    """

    row: int
    uri: str
    code: Code
    message: str = ""
    face_id: str = ""
    measurements: Measurements = Measurements()
    refused: RefusalKind | None = None
    change: Change | None = None
    holding: Holding | None = None
    reason: Reason | None = None
    is_open: bool = False
    picture: bytes = b""
    nearest: Nearest | None = None
    undone: Added | None = None
    removed: bool = False

    def in_doubt(self, face_id: str) -> "Outcome":
        """The same for a row whose face an earlier try may have added under this id."""
        said = repr(face_id) in self.message
        message = self.message if said else f"{self.message}; an earlier try may have added it as {face_id!r}"
        return replace(self, message=message, is_open=True)


@dataclass(frozen=True, slots=True)
class OutcomeBatch:
    """Outcomes of one shard, on their way to the ledger.

    Attributes:
        owner: the task instance that holds the shard's lease; writes by any other are rejected.
    """

    task_id: str
    shard: int
    owner: str
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows in the stored source: the unit that shards consist of.

    Attributes:
        first_row: number of its first row, from 1.
        rows: number of its rows.
        start: offset of its first byte in the stored UTF-8 source.
        end: offset after its last byte.
        line: physical line at `start` in the file as sent, from 1; blank lines may precede the first row.
    """

    first_row: int
    rows: int
    start: int
    end: int
    line: int


@dataclass(frozen=True, slots=True)
class SourceIndex:
    """Result of ingesting a source.

    Attributes:
        reading: how it is read.
        size: bytes of the stored UTF-8 source.
        blocks: all rows, in order, without a gap.
    """

    reading: Reading
    size: int
    blocks: tuple[Block, ...]

    @property
    def rows(self) -> int:
        """Number of data records."""
        return sum(block.rows for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Shard:
    """The consecutive rows that one task instance handles: a range of bytes of the stored source.

    Attributes:
        number: from 0, the task instance's map index.
        line: physical line at `start`, as for a block.
    """

    number: int
    first_row: int
    rows: int
    start: int
    end: int
    line: int

    @property
    def last_row(self) -> int:
        """Number of its last row."""
        return self.first_row + self.rows - 1
