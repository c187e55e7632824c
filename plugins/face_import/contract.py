"""The API contract as code: states, error codes, parameter names and their defaults.

Dependency-free on purpose: the embedded face services import it from their own environment.
"""

from enum import IntEnum, StrEnum

DAG_ID = "face_import"
PLAN_TASK, SHARD_TASK, FINISH_TASK = "plan", "shard", "finish"
DEFAULT_QUEUE, SHARD_QUEUE = "default", "shards"
LOG_XCOM_KEY = "log"
UPLOAD = "upload:"
"""Prefix of a run's `source` if the API created its task: the file is in storage, or its URL in the catalogue.

The URL may contain secrets, which Airflow would show as a parameter of the run.
"""
MAX_SOURCE_URL = 4096
"""Characters of a source's URL."""
MAX_CALLBACK_URL = 2048
CALLBACK_PATTERN = r"^https?://\S+$"
"""Characters and form of a URL that is called when a task ends."""

GROUP_NAME_PATTERN = r"^[a-z][a-z0-9_-]{2,31}$"
"""The library service's rule: 3-32 characters of a-z, 0-9, `_` and `-`, starting with a letter."""

ENTRY_NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,63}$"
"""Names of recurring imports."""

DEFAULT_THREAD_NUM = 10
MAX_CONCURRENCY = 1000
"""Upper bound of `FACE_IMPORT_MAX_THREADS`."""
MAX_ROW = 2**31 - 1
"""Row numbers fit into 32 signed bits in the API and the catalogue."""
TASK_ID_LENGTH = 12

ASSET_ALIAS = "face_import"
"""Airflow asset alias for the assets that imports update, one for each group."""
GROUP_ASSET = "face-import://groups/{group}"
"""Airflow asset of a group: other DAGs can be scheduled on it."""

MAX_URI_BYTES, MAX_TAG_BYTES, MAX_DESCRIPTION_BYTES, MAX_ID_BYTES = 8192, 4096, 65_536, 256
"""Limits for a row's cells in UTF-8; for a data URI, the image is limited instead (`FACE_IMPORT_MAX_IMAGE_BYTES`)."""

SOURCE_COLUMNS = ("uri", "tag", "description", "id")
"""Columns of a source file; without a header row, the first three by position."""


class TaskState(IntEnum):
    """State of an import task."""

    CREATED = 1
    RUNNING = 2
    STOPPED = 3
    COMPLETED = 4


class Event(StrEnum):
    """What callbacks and live events tell of a task."""

    PROGRESS = "task.progress"
    STOPPED = "task.stopped"
    COMPLETED = "task.completed"
    DELETED = "task.deleted"


class CallState(StrEnum):
    """What became of a task's last callback."""

    NONE = "none"
    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class Notice(StrEnum):
    """What keeps a running import from going on, and what to do."""

    DAG_PAUSED = (
        "the DAG face_import is paused in Airflow, so nothing more of any import starts; unpause it there, or run: "
        "face-import airflow dags unpause face_import"
    )
    NO_SLOTS = "its pool in Airflow has no slots, so no further row starts; give it slots there (Admin, Pools)"
    DATABASE_FULL = (
        "the disk of the catalogue's PostgreSQL is full; rows wait, and continue by themselves once there is room"
    )


class Mode(IntEnum):
    """What a failed row does to its task."""

    SKIP = 0
    STOP = 1


class OnAlike(StrEnum):
    """What becomes of a row whose face looks like somebody else's, or unlike its own tag's."""

    REFUSE = "refuse"
    NOTE = "note"


class Rows(StrEnum):
    """Rows of a task by what became of them; unhandled ones have no outcome so far."""

    FAILED = "failed"
    IMPORTED = "imported"
    UNHANDLED = "unhandled"
    ALL = "all"


class Code(IntEnum):
    """Result of a row: 0, or an error code."""

    OK = 0
    URI_UNREACHABLE = 101
    IMAGE_UNREADABLE = 102
    DUPLICATE_FACE = 103
    DUPLICATE_ID = 104
    ALIKE = 105
    UNLIKE_TAG = 106
    REPLACED = 107
    NO_FACE = 201
    PITCH = 202
    YAW = 203
    ROLL = 204
    WIDTH = 205
    HEIGHT = 206
    BLUR = 207
    SEVERAL_FACES = 208
    INFO_UNAVAILABLE = 301
    LIBRARY_UNAVAILABLE = 302
    SYSTEM = 303


class Reason(StrEnum):
    """Why a row failed, as a word that programs can rely on; docs/reference/api.md says what to do about each."""

    INVALID_URI = "invalid_uri"
    REFUSED_ADDRESS = "refused_address"
    UNKNOWN_HOST = "unknown_host"
    TLS = "tls"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    REFUSED = "refused"
    REDIRECTS = "redirects"
    INVALID_ANSWER = "invalid_answer"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_AN_IMAGE = "not_an_image"
    UNREADABLE_IMAGE = "unreadable_image"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    POSE_UNKNOWN = "pose_unknown"


PASSED = "passed all checks"
"""What 0 means in a dry run."""
REMOVED = "removed"
"""What 0 means in an undo."""
MEANINGS = {
    Code.OK: "imported",
    Code.URI_UNREACHABLE: "image not downloaded",
    Code.IMAGE_UNREADABLE: "image not decoded",
    Code.DUPLICATE_FACE: "face already in the group",
    Code.DUPLICATE_ID: "id already in the group",
    Code.ALIKE: "looks like a face with another tag",
    Code.UNLIKE_TAG: "unlike the faces with its tag",
    Code.REPLACED: "face replaced by a later import",
    Code.NO_FACE: "no face",
    Code.PITCH: "pitch over the limit",
    Code.YAW: "yaw over the limit",
    Code.ROLL: "roll over the limit",
    Code.WIDTH: "face too narrow",
    Code.HEIGHT: "face too short",
    Code.BLUR: "face too blurred",
    Code.SEVERAL_FACES: "too many faces",
    Code.INFO_UNAVAILABLE: "face info service unavailable",
    Code.LIBRARY_UNAVAILABLE: "face library service unavailable or refused",
    Code.SYSTEM: "row cannot be imported",
}
"""Short descriptions of the codes, for people."""
