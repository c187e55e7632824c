"""Requests and answers of the API as pydantic models: what validates is what the OpenAPI document says."""

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model
from spectree.model_adapter.pydantic_adapter import BaseFile

from face_import.contract import DEFAULT_THREAD_NUM, MAX_ROW, Code, TaskState
from face_import.domain.models import LIMITS, Limit


def _empty_is_absent(default: int) -> BeforeValidator:
    """HTML forms send an empty text for a field that nobody filled in."""
    return BeforeValidator(lambda value: default if value in ("", None) else value)


def _or_empty(low: int, high: int | None = None) -> WithJsonSchema:
    """The schema of a form's number, which may be left empty."""
    number = {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})
    return WithJsonSchema({"anyOf": [number, {"type": "string", "maxLength": 0}]})


def _json_integer(value: object) -> object:
    """In JSON a number is a number: neither a text nor true."""
    if isinstance(value, str | bool):
        raise ValueError("not an integer")  # noqa: TRY004 - pydantic's interface
    return value


def _mode(value: object) -> object:
    """A literal is compared as it is, and a form sends text."""
    return {"": 0, "0": 0, "1": 1}.get(value, value) if isinstance(value, str) else value


def _limit(limit: Limit) -> Any:
    """A limit as a form's field."""
    number = Annotated[int, Field(ge=0, le=limit.most), _empty_is_absent(0), _or_empty(0, limit.most)]
    return number, Field(0, description=f"{limit.title.lower()} of a face, {limit.unit}")


Status = Annotated[
    int,
    Field(ge=0, le=max(TaskState)),
    BeforeValidator(lambda value: int(value) if value in (*"01234",) else _json_integer(value)),
    _empty_is_absent(0),
    WithJsonSchema({"enum": [*range(5), *"01234", "", None]}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Group(_Strict):
    group_name: str = Field(description="face group to import into")


_Limited: Any = create_model("_Limited", __base__=_Group, **{name: _limit(limit) for name, limit in LIMITS.items()})


class CreateForm(_Limited):
    """Fields of `POST /v1/tasks/create`; a limit of 0 is off."""

    thread_num: Annotated[int, Field(ge=1), _empty_is_absent(DEFAULT_THREAD_NUM), _or_empty(1)] = Field(
        DEFAULT_THREAD_NUM, description="rows handled at the same time"
    )
    mode: Annotated[Literal[0, 1], BeforeValidator(_mode), WithJsonSchema({"enum": [0, 1, ""]})] = Field(
        0, description="at a bad row: 0 skips it, 1 stops the task"
    )
    file: BaseFile = Field(description="the CSV file: uri, tag, description")


class ListBody(_Strict):
    """Body of `POST /v1/tasks/list`."""

    group_name: str = Field(min_length=1, pattern="^[^\\x00]*$")
    status: Status = Field(0, description="only tasks in this state, 0 for all")


class ThreadsBody(_Strict):
    """Body of `POST /v1/tasks/<id>/config`."""

    thread_num: Annotated[int, BeforeValidator(_json_integer)] = Field(ge=1)


class ThreadsForm(_Strict):
    """The same as a form of the console, whose numbers are text."""

    thread_num: int = Field(ge=1)


class LogQuery(_Strict):
    """Narrows `GET /v1/tasks/<id>/log`."""

    skip: int = Field(0, ge=0, le=MAX_ROW)
    limit: int | None = Field(None, ge=0, le=MAX_ROW)
    code: Code | None = None


class DownloadQuery(_Strict):
    """`raw=1` leaves cells that a spreadsheet would run as they are."""

    raw: bool = False


class Created(BaseModel):
    """Answer to a create."""

    id: str


class Done(BaseModel):
    """Answer to what has nothing to say: `{}`."""


class TaskIds(BaseModel):
    """Answer to a list."""

    ids: list[str]


_Limits: Any = create_model("_Limits", **dict.fromkeys(LIMITS, cast("Any", (int, ...))))


class Config(_Limits):
    """What the task was created with."""

    mode: int
    thread_num: int


class ChangeCounts(BaseModel):
    """Rows of a recurring import by what they were to it; `gone` are those that only earlier files had."""

    new: int
    changed: int
    unchanged: int
    gone: int


class Detail(BaseModel):
    """A task as it stands; times are ISO 8601 in UTC, null until they happen."""

    group_name: str
    config: Config
    total_num: int
    handled_num: int
    success_num: int
    failed_num: int
    errors: dict[str, int] = Field(description="failed rows by error code")
    changes: ChangeCounts | None = Field(description="rows by change, null where all rows are imported")
    state: TaskState
    last_error: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    dag_run_id: str


class Entry(BaseModel):
    """A failed row."""

    row: int
    uri: str
    code: int
    message: str


class Log(BaseModel):
    """Failed rows in row order, and how many there are in all (with the code that was asked for)."""

    logs: list[Entry]
    total_count: int


class Error(BaseModel):
    """Every answer that is not 200."""

    error: str
    code: str


def explain(problems: list[Any]) -> str:
    """Pydantic's findings in one line that names each field."""
    return "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'body'}: {e['msg']}" for e in problems)
