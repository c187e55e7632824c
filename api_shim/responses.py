"""Answers of the API."""

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, WithJsonSchema, create_model

from face_import.catalogue.schema import MEASURED
from face_import.contract import CallState, Code, Event, OnAlike, TaskState
from face_import.domain.models import LIMITS

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""ISO 8601 in UTC."""


class Retried(BaseModel):
    """How many rows are retried, or would be."""

    rows: int


class Limited(BaseModel):
    """Rows that new limits concern; others are not touched."""

    reopened: int = Field(description="failed rows that pass now, or may: they are imported again")
    removed: int = Field(description="imported rows that do not pass: their faces are removed from the group")
    rejudged: int = Field(
        description="rows without a face whose code changes by what was measured: failed ones, and those of a dry run"
    )
    unmeasured: int = Field(
        description="imported rows whose verdict depends on a measurement that was not made: they stay imported"
    )


class Created(BaseModel):
    """The id of the new task."""

    id: str


class Done(BaseModel):
    """Empty response: `{}`."""


class Started(BaseModel):
    """`{}`, or what the task waits for."""

    notice: str = Field("", description="as in `detail`; left out if it is empty")


class Summary(BaseModel):
    """A task in a list; times are ISO 8601 in UTC, or null."""

    id: str
    group_name: str
    source: str = Field(description="name of the file, or its URL without secrets")
    total_num: int
    handled_num: int
    success_num: int
    failed_num: int
    errors: dict[str, int] = Field(description="failed rows by error code")
    state: TaskState
    attempts: int
    last_error: str
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


class Listed(BaseModel):
    """Response to a list, oldest first."""

    ids: list[str]
    tasks: list[Summary] | None = Field(None, description="these tasks, if summaries were asked for")
    total_count: int | None = Field(None, description="number of all tasks, if summaries were asked for")


Limits: Any = create_model("Limits", **dict.fromkeys(LIMITS, cast("Any", (int, ...))))


class Config(Limits):
    """The task's limits and options."""

    mode: int
    thread_num: int
    host_threads: int
    max_failed: int
    max_failed_percent: int
    fail_on_errors: int
    measure: int
    dry_run: int
    sample: int
    same_picture: int
    alike: float
    alike_tag: float
    on_alike: OnAlike


class ChangeCounts(BaseModel):
    """Rows of a recurring import by change; `gone` rows are in earlier files only."""

    new: int
    changed: int
    unchanged: int
    gone: int


class Source(BaseModel):
    """How the file is read; a column without a title is shown by its number from 1."""

    encoding: str | None = Field(description="encoding of the file as sent; null for a workbook")
    separator: str
    header: bool
    skipped: int = Field(description="records above the header or the first row, such as the table's title")
    columns: dict[str, str | int] = Field(description="the file's column for each of ours")
    ignored: list[str | int] = Field(description="the other columns")
    sheet: str | None = Field(description="the workbook's sheet; null for other files")
    sheets: list[str] = Field(description="the workbook's sheets, if there are several and none was named")


class WaitingHost(BaseModel):
    """An image host that is unavailable, and whose rows are set aside until it answers."""

    host: str = Field(description="its name, with a port unless it is the scheme's own")
    reason: str = Field(description="its last answer, or how it failed to answer")
    since: Time = Field(description="when its trouble began")
    rows: int = Field(description="rows that are known to wait for it")
    retry_at: Time | None = Field(description="when it is asked again; in the past or null: it is being asked")


_End = Literal[Event.STOPPED, Event.COMPLETED]


class Callback(BaseModel):
    """The call that tells of a task's last stop or completion."""

    url: str = Field(description="where it goes, without secrets")
    state: CallState = Field(description="none: the task has not ended so far; given_up: it did not arrive in a day")
    event: _End | None = Field(description="type of the event; null before there is one")
    id: str | None = Field(description="`webhook-id`, the same at every try")
    tries: int
    tried_at: Time | None
    answer: str = Field(description="how the last try ended; empty while that is not known")
    next_at: Time | None = Field(description="when it is tried again")


class Detail(BaseModel):
    """Current state of a task; times are ISO 8601 in UTC, or null."""

    group_name: str
    config: Config
    source: Source | None = Field(description="how the file is read, null before it is")
    total_num: int
    handled_num: int
    success_num: int
    failed_num: int
    errors: dict[str, int] = Field(description="failed rows by error code")
    changes: ChangeCounts | None = Field(description="rows by change, null where all rows are imported")
    waiting: list[WaitingHost] = Field(
        description="image hosts that a running task waits for, at most 100, those with most rows first"
    )
    callback: Callback | None = Field(description="the task's callback; null without a `callback_url`")
    state: TaskState
    attempts: int = Field(description="how often it was started, by start, retry or limits")
    last_error: str
    notice: str = Field(description="what a running task waits for, such as room on the disk; else empty")
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    dag_run_id: str
    undoes: str | None = Field(description="id of the task whose faces this one removes; null for an import")


class Ended(BaseModel):
    """Body of a callback: a task has stopped or completed."""

    type: _End
    timestamp: Time = Field(description="when it did")
    data: Summary = Field(description="the task as it was then")


class Judged(BaseModel):
    """A task's handled rows under limits: `handled_num` is the sum of all the others."""

    limits: Limits = Field(description="the limits judged by")
    handled_num: int
    success_num: int = Field(description="rows that break none of them")
    errors: dict[str, int] = Field(description="rows by the code of the first limit that they break")
    unmeasured_num: int = Field(description="rows whose verdict depends on a measurement that was not made")
    other_errors: dict[str, int] = Field(description="failed rows by code whose reason is no limit of the task")


class Histogram(BaseModel):
    """How a measurement is distributed over a task's handled rows."""

    of: str
    edges: list[float] = Field(
        description="bounds of the bins, one more than counts: each bin has its lower bound, the last one both"
    )
    counts: list[int]
    unmeasured_num: int = Field(description="handled rows without this measurement")


class LogEntry(BaseModel):
    """A failed row."""

    row: int
    uri: str
    code: int
    message: str
    reason: str = Field(description="why, as a word: for 101, 102, 301 and 302, otherwise empty")


class Log(BaseModel):
    """Failed rows in row order, and the total number (with the requested code)."""

    logs: list[LogEntry]
    total_count: int


_measured = dict.fromkeys(MEASURED, cast("Any", (float | None, ...)))
_Measured: Any = create_model("_Measured", **_measured)


class ResultRow(_Measured):
    """A row of the file, and what became of it; measurements that were not made are null."""

    row: int
    line: int = Field(description="where it begins: a line of the file, or a row of the workbook's sheet")
    cells: list[str] = Field(description="all its cells, which may be more or fewer than the columns")
    code: Code | None = Field(description="null for a row without an outcome")
    reason: str
    message: str
    face_id: str = Field(description="id of its face in the group, empty if it was not imported")


class ResultPage(BaseModel):
    """Rows of the file, in its order unless they are sorted."""

    columns: list[str] = Field(description="the file's columns; without a header, our names and `column 5`")
    rows: list[ResultRow]
    skipped: int = Field(description="rows that were skipped, as asked; fewer if the search ended before")
    looked_to: int = Field(description="number of the last row that was looked at")
    sorted: int | None = Field(
        description="how many rows were found and sorted: `skip` leads to the others; null in the order of the file"
    )
    next: str | None = Field(description="`row` of the request that continues from there; null at the end")
    total_num: int


class Error(BaseModel):
    """Every response other than 200."""

    error: str
    code: str
