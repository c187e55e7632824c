"""What the API answers, as far as commands use it, and the whole as it came."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, PrivateAttr, model_validator

from face_import.contract import MEANINGS, Code, TaskState
from face_import.domain.failures import completed


class Answer(BaseModel):
    """What the server returned: members as far as commands use them, and the whole as it came."""

    model_config = ConfigDict(frozen=True)
    _given: Any = PrivateAttr()

    @property
    def given(self) -> Any:
        """The JSON value."""
        return self._given

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        answer = validate(given)
        answer._given = given  # noqa: SLF001 - pydantic's way to a member that is no field
        return answer


class Source(Answer):
    """How a task's file is read; a column without a title is its number."""

    encoding: str | None = None
    separator: str
    header: bool
    skipped: int = 0
    columns: dict[str, str | int]
    ignored: list[str | int] = []
    sheet: str | None = None
    sheets: list[str] = []


class WaitingHost(Answer):
    """An image host that is unavailable, and the number of rows that wait for it."""

    host: str
    reason: str
    rows: int
    retry_at: datetime | None = None


class Callback(Answer):
    """The call that tells of a task's last end."""

    url: str
    state: str
    event: str | None = None
    tries: int = 0
    answer: str = ""

    @property
    def sentence(self) -> str:
        """Where it goes, and what became of the last one."""
        if self.event is None:
            return self.url
        tried = f" after {self.tries} tries" if self.tries > 1 else ""
        answer = f" ({self.answer})" if self.answer else ""
        return f"{self.url}: {self.event} {self.state.replace('_', ' ')}{tried}{answer}"


class Summary(Answer):
    """A task as in a list."""

    id: str = ""
    group_name: str
    total_num: int
    handled_num: int
    success_num: int
    failed_num: int
    state: TaskState
    created_at: datetime

    @property
    def word(self) -> str:
        """Its state, with the failures if it was completed with any."""
        return completed(self.failed_num) if self.state is TaskState.COMPLETED else self.state.name.lower()


class Task(Summary):
    """A task as returned by `detail`, plus its id, which the response does not include."""

    config: dict[str, int | float | str]
    source: Source | None = None
    errors: dict[int, int]
    changes: dict[str, int] | None = None
    waiting: list[WaitingHost] = []
    last_error: str
    notice: str = ""
    started_at: datetime | None
    finished_at: datetime | None
    dag_run_id: str
    undoes: str | None = None
    callback: Callback | None = None


class LogEntry(Answer):
    """A failed row."""

    row: int
    uri: str
    code: int
    message: str


class Log(Answer):
    """A page of the log."""

    logs: list[LogEntry]


class Judged(Answer):
    """Handled rows under limits: those within, and the others by code."""

    limits: dict[str, int]
    handled_num: int
    success_num: int
    errors: dict[int, int]
    unmeasured_num: int
    other_errors: dict[int, int]


class Limited(Answer):
    """Rows that new limits concern."""

    reopened: int
    removed: int
    rejudged: int
    unmeasured: int


class Created(Answer):
    """The id of a new task."""

    id: str


class Started(Answer):
    """What a started task waits for; empty if nothing."""

    notice: str = ""


class Retried(Answer):
    """How many rows are retried."""

    rows: int


class Listed(Answer):
    """A page of a group's tasks, and how many there are in all."""

    tasks: list[Summary]
    total_count: int


def meaning(code: int) -> str:
    """Meaning of a row's code; empty for codes of a newer server."""
    return MEANINGS[Code(code)] if code in set(Code) else ""
