"""The error tree. A bad row ends as an `Outcome`: but for `RowError`, what is raised stops more than a row.

::

    FaceImportError
    ├── ConfigError            a setting is wrong: said once, in a line, exit 1
    ├── StackError             the embedded stack did not start or end; the text is for the operator
    ├── RequestError           a client's mistake; carries the HTTP status and the error word
    │   ├── InvalidRequest     400 malformed, 413 too large
    │   ├── TaskNotFound       404
    │   └── WrongState         409
    ├── SourceError            a source that cannot be read as a whole; carries the line where known
    │   └── SourceMissing      there is no such file: it may come yet
    ├── RowError               one row's input is bad; becomes the row's code and message
    ├── ServiceError           an outer service
    │   ├── ServiceUnavailable no answer, 5xx, 429: wait and try again
    │   └── ServiceRefusal     a definite answer that is not a success; carries its kind
    │       └── MalformedAnswer it is a success, but not the protocol's
    ├── AirflowError           Airflow's REST API did not do what it was asked
    │   ├── AirflowUnavailable no answer, or none to us: other requests would fare no better
    │   └── AirflowRefused     an error as its answer: only this request is in trouble
    ├── ApiUnavailable         our own API gives no usable answer to the command line
    ├── TaskStopped            the task is no longer to be worked on: leave quietly
    ├── Interrupted            this process was asked to end; the next try goes on
    ├── LeaseLost              another try owns the shard now: leave quietly
    └── TaskFailed             an operator has to do something; the text says what
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class FaceImportError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigError(FaceImportError):
    """A setting or the environment is wrong; the text is one line for the operator."""


class StackError(FaceImportError):
    """The embedded stack did not start or end as it should; the text is for the operator."""


class RequestError(FaceImportError):
    """A client's mistake: answered with `status`, `code` and `headers`, never logged as a fault."""

    status = 400
    code = "invalid_request"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidRequest(RequestError):
    """A malformed field or body."""


class SourceTooLarge(RequestError):
    """An upload above the configured bound."""

    status = 413
    code = "too_large"


class TaskNotFound(RequestError):
    """No such import task, or a deleted one."""

    status = 404
    code = "not_found"


class WrongState(RequestError):
    """The task's state does not allow what was asked."""

    status = 409
    code = "wrong_state"


class SourceError(FaceImportError):
    """A source that cannot be read as a whole.

    Args:
        message: what is wrong, for the person who sent the file.
        line: physical line of the file, counted from 1, where known.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


class SourceMissing(SourceError):
    """The source's URL is allowed, but there is no readable file: it may come yet."""


class RowError(FaceImportError):
    """One row's picture cannot be had or read; the text is the row's message."""


class ServiceError(FaceImportError):
    """An outer service did not do what it was asked."""


class ServiceUnavailable(ServiceError):
    """No answer, a reset, 5xx or 429: worth another try.

    Args:
        retry_after: seconds the service asked us to wait, if it did.
        sent: whether the service may have acted on the request all the same.
        internal: whether it failed while it worked on this very request (500), which other requests may not make it do.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, sent: bool = True, internal: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.sent = sent
        self.internal = internal


class RefusalKind(StrEnum):
    """What a service's refusal means to an import; the text stays the service's own."""

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
    """By its status never about a picture: no permission, no such address, no such method."""
    OTHER = "other"


class ServiceRefusal(ServiceError):
    """A definite answer that is not a success; the text is the service's own."""

    def __init__(self, message: str, *, kind: RefusalKind = RefusalKind.OTHER) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def unexpected(self) -> bool:
        """Whether it says nothing about the row: other rows may show that it is the service's own trouble."""
        return self.kind in {RefusalKind.DENIED, RefusalKind.OTHER}


class MalformedAnswer(ServiceRefusal):
    """An answer under 2xx that is not the protocol's: whatever was asked may have been done."""


class AirflowError(FaceImportError):
    """Airflow's REST API did not do what it was asked.

    Args:
        sent: whether the request may have been carried out all the same.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class AirflowUnavailable(AirflowError):
    """Airflow does not answer, or does not let us in."""


class AirflowRefused(AirflowError):
    """Airflow answered with an error: this request is in trouble, others may not be."""


class ApiUnavailable(FaceImportError):
    """Our own HTTP API gave the command line no usable answer: worth another try."""


class TaskStopped(FaceImportError):
    """The task is stopped or deleted: no further row may start."""


class Interrupted(FaceImportError):
    """This process was asked to end, whatever the task's state: the next try goes on."""


class LeaseLost(FaceImportError):
    """Another try owns this shard, or this one's lease ran out."""


class TaskFailed(FaceImportError):
    """The task cannot go on until somebody does what the text says."""
