"""Request and response models of the API, for validation and the OpenAPI document alike."""

from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model
from spectree.model_adapter.pydantic_adapter import BaseFile

from face_import.contract import DEFAULT_THREAD_NUM, MAX_ROW, MAX_SOURCE_URL, Code, TaskState
from face_import.domain.models import LIMITS, Limit
from face_import.domain.reading import COLUMNS_SCHEMA, ENCODINGS, MAX_COLUMNS, MAX_ENCODING, MAX_SHEET

KEY_HEADER, REPLAYED_HEADER = "Idempotency-Key", "Idempotency-Replayed"
KEY_PATTERN = "^[!-~]{1,255}$"


def _empty_is_absent(default: int) -> BeforeValidator:
    """HTML forms send an empty string for a blank field."""
    return BeforeValidator(lambda value: default if value in ("", None) else value)


def _or_empty(low: int, high: int | None = None) -> WithJsonSchema:
    """The schema of a form's number, which may be blank."""
    number = {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})
    return WithJsonSchema({"anyOf": [number, {"type": "string", "maxLength": 0}]})


def _without_default(schema: dict[str, Any]) -> None:
    """Describe a field that may only be left out: it cannot be sent as null."""
    schema.pop("default", None)


def _json_integer(value: object) -> object:
    """Reject strings and booleans, which pydantic would convert."""
    if isinstance(value, str | bool):
        raise ValueError("not an integer")  # noqa: TRY004 - pydantic's interface
    return value


def _mode(value: object) -> object:
    """Convert the strings that forms send: literals are compared without conversion."""
    return {"": 0, "0": 0, "1": 1}.get(value, value) if isinstance(value, str) else value


def _limit(limit: Limit) -> Any:
    """A limit as a form's field."""
    number = Annotated[int, Field(ge=0, le=limit.most), _empty_is_absent(0), _or_empty(0, limit.most)]
    return number, Field(0, description=f"{limit.title.lower()}, {limit.unit}")


_URL_OR_EMPTY = r"^([A-Za-z][A-Za-z0-9+.-]*://\S+)?$"
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
    """Fields of `POST /v1/tasks/create`, with either `file` or `source`; 0 means no limit."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["file"]}, {"required": ["source"]}]})

    thread_num: Annotated[
        int, Field(ge=0), AfterValidator(lambda number: number or DEFAULT_THREAD_NUM), _empty_is_absent(0), _or_empty(0)
    ] = Field(
        DEFAULT_THREAD_NUM,
        description="concurrency: maximum number of rows with a request in flight; "
        f"0, which clients send for an unset integer, means {DEFAULT_THREAD_NUM}",
    )
    mode: Annotated[Literal[0, 1], BeforeValidator(_mode), WithJsonSchema({"enum": [0, 1, ""]})] = Field(
        0, description="on errors: 0 logs the row and continues, 1 stops the task"
    )
    file: Annotated[BaseFile | None, WithJsonSchema({"type": "string", "format": "binary"})] = Field(
        None, json_schema_extra=_without_default, description="the CSV or xlsx file: uri, tag, description"
    )
    source: str = Field(
        "",
        max_length=MAX_SOURCE_URL,
        json_schema_extra={"pattern": _URL_OR_EMPTY},
        description="URL of the CSV or xlsx file, which is read when the task is started",
    )
    encoding: str = Field(
        "",
        max_length=MAX_ENCODING,
        description=f"encoding of the file, for instance {', '.join(ENCODINGS)}; empty: recognised",
    )
    sheet: str = Field("", max_length=MAX_SHEET, description="a workbook's sheet; empty: the first one")
    columns: str = Field(
        "",
        max_length=MAX_COLUMNS,
        json_schema_extra={
            "contentMediaType": "application/json",
            "contentSchema": {"type": "object", **COLUMNS_SCHEMA},
        },
        description="JSON object that says which column is which, where the header does not: for uri, tag, description "
        'and id the title or the number from 1, or null for none, as in {"uri": "photo", "id": 3}',
    )


class CreateHeaders(BaseModel):
    """Headers of `POST /v1/tasks/create`."""

    key: Annotated[str | None, WithJsonSchema({"type": "string", "pattern": KEY_PATTERN})] = Field(
        None,
        alias=KEY_HEADER,
        json_schema_extra=_without_default,
        description="identifies this create: sending it again with the same content answers the same id",
    )


class ListBody(_Strict):
    """Body of `POST /v1/tasks/list`."""

    group_name: str = Field(min_length=1, pattern="^[^\\x00]*$")
    status: Status = Field(0, description="only tasks in this state; 0 for all")


class ConcurrencyBody(_Strict):
    """Body of `POST /v1/tasks/<id>/config`."""

    thread_num: Annotated[int, BeforeValidator(_json_integer)] = Field(ge=1)


class ConcurrencyForm(_Strict):
    """The same for the console's form, whose numbers are strings."""

    thread_num: int = Field(ge=1)


class LogQuery(_Strict):
    """Query of `GET /v1/tasks/<id>/log`."""

    skip: int = Field(0, ge=0, le=MAX_ROW)
    limit: int | None = Field(None, ge=0, le=MAX_ROW)
    code: Code | None = None


class DownloadQuery(_Strict):
    """Query of `GET /v1/tasks/<id>/download_log`; `raw=1` keeps formulas in cells."""

    raw: bool = False


class Created(BaseModel):
    """Response to a create."""

    id: str


class Done(BaseModel):
    """Empty response: `{}`."""


class TaskIds(BaseModel):
    """Response to a list."""

    ids: list[str]


_Limits: Any = create_model("_Limits", **dict.fromkeys(LIMITS, cast("Any", (int, ...))))


class Config(_Limits):
    """The task's limits and options."""

    mode: int
    thread_num: int


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
    state: TaskState
    last_error: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    dag_run_id: str


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


class Error(BaseModel):
    """Every response other than 200."""

    error: str
    code: str


def explain(problems: list[Any]) -> str:
    """Pydantic's errors in one line that names each field."""
    return "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'body'}: {e['msg']}" for e in problems)
