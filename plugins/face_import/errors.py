"""The error tree. A failed row ends as an `Outcome`; apart from `RowError`, exceptions stop more than one row.

::

    FaceImportError
    ├── ConfigError            a setting is invalid: reported in one line, exit status 1
    ├── StackError             the embedded stack did not start or stop; the text is for the operator
    ├── RequestError           a client's mistake; carries the HTTP status and the error code
    │   ├── InvalidRequest     400 malformed, 413 too large
    │   ├── TaskNotFound       404
    │   ├── WrongState         409
    │   ├── KeyReused          409
    │   ├── Busy               503
    │   └── DiskFull           503
    ├── SourceError            a source that cannot be parsed; carries the line if known
    │   ├── SourceMissing      there is no such file, so far
    │   └── Ambiguous          the client may say which column is which; carries the first records
    ├── RowError               one row's input is bad; becomes the row's code and message
    ├── ServiceError           an external service failed
    │   ├── ServiceUnavailable no response, 5xx, 429: wait and retry
    │   └── ServiceRefusal     a definite error response; carries its kind
    │       └── MalformedAnswer a success response that violates the protocol
    ├── AirflowError           a request to Airflow's REST API failed
    │   ├── AirflowUnavailable no usable response: other requests would fail as well
    │   └── AirflowRefused     an error response: other requests may succeed
    ├── ApiUnavailable         our own API gave the command line no usable response
    ├── TaskStopped            the task was stopped or deleted: exit quietly
    ├── Interrupted            this process was asked to end; the next try resumes
    ├── LeaseLost              another try owns the shard now: exit quietly
    └── TaskFailed             an operator has to act; the text says how
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType


class FaceImportError(Exception):
    """Base class of this package's errors."""


class ConfigError(FaceImportError):
    """A setting or the environment is invalid; the text is one line for the operator."""


class StackError(FaceImportError):
    """The embedded stack did not start or stop as it should; the text is for the operator."""


class RequestError(FaceImportError):
    """A client's mistake: answered with `status`, `code` and `headers`, not logged as an error."""

    status = 400
    code = "invalid_request"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidRequest(RequestError):
    """An invalid field or body."""


class SourceTooLarge(RequestError):
    """An upload exceeds the configured limit."""

    status = 413
    code = "too_large"


class TaskNotFound(RequestError):
    """No such import task, or a deleted one."""

    status = 404
    code = "not_found"


class WrongState(RequestError):
    """The task's state does not allow the operation."""

    status = 409
    code = "wrong_state"


class KeyReused(RequestError):
    """The idempotency key belongs to an earlier request with other content."""

    status = 409
    code = "idempotency_key_reused"


class Busy(RequestError):
    """Others take all that this request needs; the client may try again."""

    status = 503
    code = "busy"
    headers = MappingProxyType({"Retry-After": "5"})


class DiskFull(RequestError):
    """There is no room for a new import; the client may try again once there is."""

    status = 503
    code = "disk_full"
    headers = MappingProxyType({"Retry-After": "60"})


class SourceError(FaceImportError):
    """A source that cannot be parsed.

    Args:
        message: what is wrong, for the person who sent the file.
        line: physical line of the file, counted from 1, where known.

    Attributes:
        sheet: the workbook's sheet that was read, or empty.
        sheets: as in `Reading`.
    """

    sheet = ""
    sheets: Sequence[str] = ()

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


class SourceMissing(SourceError):
    """The source's URL is allowed, but there is no readable file, so far."""


class Ambiguous(SourceError):
    """A table whose header or columns can be read in several ways, or in none that is known; the client may say how.

    Args:
        problem: what is not clear.
        advice: what a client of the API can send.

    Attributes:
        problem: as given.
        separator: the character between cells.
        titles: the header's cells; empty if there is no header, or none that is known to be one.
        records: the first records below the header; long cells are shortened.
    """

    separator = ","
    titles: Sequence[str] = ()
    records: Sequence[list[str]] = ()

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(f"{problem}: {advice}" if advice else problem)
        self.problem = problem


class RowError(FaceImportError):
    """A row's image cannot be fetched or decoded; the text is the row's message."""


class ServiceError(FaceImportError):
    """An external service failed."""


class ServiceUnavailable(ServiceError):
    """No response, a reset, 5xx or 429: worth retrying.

    Args:
        retry_after: seconds the service asked us to wait, if it did.
        sent: whether the service may have processed the request nevertheless.
        internal: whether the service failed on this very request (500); others may succeed.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, sent: bool = True, internal: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.sent = sent
        self.internal = internal


class RefusalKind(StrEnum):
    """What a service's refusal means for an import; the text is the service's own."""

    ID_EXISTS = "id exists"
    FEATURE_EXISTS = "feature exists"
    GROUP_EXISTS = "group exists"
    GROUP_MISSING = "group missing"
    NO_FACE = "no face"
    SEVERAL_FACES = "several faces"
    SIZE = "face too small"
    BLUR = "face blurred"
    COVERED = "face covered"
    POSE = "face turned away"
    PICTURE = "about the picture"
    DENIED = "denied"
    """By its status never about an image: no permission, no such address, no such method."""
    OTHER = "other"


class ServiceRefusal(ServiceError):
    """A definite error response; the text is the service's own."""

    def __init__(self, message: str, *, kind: RefusalKind = RefusalKind.OTHER) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def unexpected(self) -> bool:
        """Whether it is not about the row: other rows may show that the service itself is at fault."""
        return self.kind in {RefusalKind.DENIED, RefusalKind.OTHER}


class MalformedAnswer(ServiceRefusal):
    """A 2xx response that violates the protocol: the request may have been processed."""


class AirflowError(FaceImportError):
    """A request to Airflow's REST API failed.

    Args:
        sent: whether the request may have been processed nevertheless.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class AirflowUnavailable(AirflowError):
    """Airflow gave no usable response, or denies us access."""


class AirflowRefused(AirflowError):
    """Airflow responded with an error; other requests may succeed."""


class ApiUnavailable(FaceImportError):
    """Our own HTTP API gave the command line no usable response: worth retrying."""


class TaskStopped(FaceImportError):
    """The task is stopped or deleted: no further row may start."""


class Interrupted(FaceImportError):
    """This process was asked to end, whatever the task's state: the next try resumes."""


class RowWaits(FaceImportError):
    """A row's image host is in trouble or fully used: the row stays unhandled, and starts again later."""


class ShardWaits(FaceImportError):
    """All that is left of a shard waits for image hosts; the text says for which.

    Args:
        seconds: how long there is nothing to do.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class LeaseLost(FaceImportError):
    """Another try owns this shard, or this try's lease expired."""


class TaskFailed(FaceImportError):
    """The task cannot continue until an operator has acted; the text says how."""
