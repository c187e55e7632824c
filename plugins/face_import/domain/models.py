"""Value types: rows, limits, faces, outcomes, shards. No I/O."""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from face_import.contract import Code, Reason
from face_import.domain.reading import Reading
from face_import.errors import RefusalKind


@dataclass(frozen=True, slots=True)
class Limit:
    """Description of one limit, for every form, parameter and page.

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

    @property
    def need_pose(self) -> bool:
        """Whether any limit needs the pose, a second call."""
        return bool(self.pos_pitch or self.pos_yaw or self.pos_rol)


LIMITS: dict[str, Limit] = {limit.name: limit.metadata["limit"] for limit in fields(Limits)}
"""The limits by name, in order; parameters, form fields, columns and entries derive from these."""


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

    `faces` is the number of faces in the image, `score` the detector's confidence.
    """

    faces: int | None = None
    score: float | None = None
    width: int | None = None
    height: int | None = None
    pitch: float | None = None
    yaw: float | None = None
    roll: float | None = None
    blur: int | None = None

    def known(self) -> dict[str, Any]:
        """The available measurements, by name."""
        return {name: value for name in _MEASURED if (value := getattr(self, name)) is not None}


_MEASURED = tuple(f.name for f in fields(Measurements))  # `asdict` would make deep copies, for millions of rows


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
class Sent:
    """Journal entry for a row's add, written before it is sent: should the try die, the row is in doubt.

    Attributes:
        row: the row's number.
        face_id: id of the face to add.
        digest: digest of what is added. If the row's image has changed since, finding it proves nothing.
    """

    row: int
    face_id: str
    digest: bytes


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
    task_id: str = ""
    row: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a row: code 0 with its face id, or an error code with a message.

    Attributes:
        refused: kind of a service's refusal that is not about the image. Whether the row or the service is to blame
            shows only in comparison with other rows (`pipeline.outage`).
        change: change of the row, for a recurring import that imports changes only.
        holding: the new holding of the row for such an import; None if unchanged.
        reason: why it failed, where the code does not say it: for 101, 102, 301 and 302.
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
