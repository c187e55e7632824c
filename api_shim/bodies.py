"""JSON bodies and queries of the API."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model, model_validator

from api_shim.fields import (
    OptionalCode,
    RowNumbers,
    Sort,
    Status,
    Strict,
    empty_is_absent,
    integer,
    json_integer,
    without_default,
)
from api_shim.forms import KEY_PATTERN, POLICY
from face_import.contract import MAX_ROW, Code, Reason, Rows
from face_import.domain.models import FAILURE_POLICY, LIMITS, Limit
from face_import.domain.row_spans import PATTERN

MAX_SEARCHED = 100
"""Characters of a text that is searched for in rows: three of them fit into a request line, percent-encoded."""
_FAILURES_ONLY = [code for code in Code if code is not Code.OK]
_ERROR_CODES: dict[str, Any] = {
    "type": "integer",
    "enum": [code.value for code in _FAILURES_ONLY],
    "x-enum-varnames": [code.name for code in _FAILURES_ONLY],
}


class ListBody(Strict):
    """Body of `POST /v1/tasks/list`."""

    group_name: str | None = Field(
        None, min_length=1, pattern="^[^\\x00]*$", description="only tasks of this group; without it, of all groups"
    )
    idempotency_key: Annotated[str | None, Field(pattern=KEY_PATTERN)] = Field(
        None, description="only the task that a create with this Idempotency-Key has made"
    )
    status: Status = Field(0, description="only tasks in this state; 0 for all")
    fields: Literal["ids", "summary"] = Field("ids", description="summary: also what each task is, and how far it is")
    skip: Annotated[int, Field(ge=0, le=MAX_ROW), BeforeValidator(json_integer)] = Field(0, description="tasks to skip")
    limit: Annotated[int | None, Field(ge=1, le=1000), BeforeValidator(json_integer)] = Field(
        None, description="at most this many tasks; without it, all ids or 100 summaries"
    )


def _changed(least: int, most: int | None, description: str) -> Any:
    """A number of a config body, which is left as it is if it is absent."""
    number = Annotated[int, Field(ge=least, le=most), BeforeValidator(json_integer)]
    return number, Field(0, json_schema_extra=without_default, description=description)


_CHANGED = {name: _changed(0, FAILURE_POLICY[name].most, text) for name, text in POLICY.items()}
_Changes: Any = create_model("_Changes", __base__=Strict, thread_num=_changed(1, None, "concurrency"), **_CHANGED)


class ConfigBody(_Changes):
    """Body of `POST /v1/tasks/<id>/config`: the numbers to change, at least one."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"send at least one of {', '.join(type(self).model_fields)}")
        return self


class RetryBody(Strict):
    """Body of `POST /v1/tasks/<id>/retry`: failed rows that match all that is given; `{}` means all failed rows."""

    codes: list[Annotated[int, BeforeValidator(json_integer), WithJsonSchema(_ERROR_CODES)]] = Field(
        [], max_length=100, description="only rows with one of these codes; empty: with any"
    )
    reasons: list[Annotated[str, WithJsonSchema({"type": "string", "enum": list(Reason)})]] = Field(
        [], max_length=100, description="only rows with one of these reasons; empty: with any or none"
    )
    rows: str = Field(
        "",
        max_length=12_000,
        json_schema_extra={"pattern": PATTERN},
        description="row numbers and ranges, such as 7,12-40",
    )
    preview: bool = Field(False, description="only count them")  # noqa: FBT003


class LogQuery(Strict):
    """Query of `GET /v1/tasks/<id>/log`."""

    skip: int = Field(0, ge=0, le=MAX_ROW)
    limit: int | None = Field(None, ge=0, le=MAX_ROW)
    code: Code | None = None


class DownloadQuery(Strict):
    """Query of `GET /v1/tasks/<id>/download_log`; `raw=1` keeps formulas in cells."""

    raw: bool = False


class ResultsQuery(Strict):
    """Query of `GET /v1/tasks/<id>/download_rows`."""

    rows: Rows = Field(Rows.FAILED, description="rows by what became of them; unhandled ones have no outcome so far")
    code: OptionalCode = Field(None, description="only rows with this code")
    reason: Annotated[Reason | None, empty_is_absent(None)] = Field(None, description="only rows with this reason")
    row: RowNumbers = Field("", description="only rows with these numbers, such as 7,12-40")


class RowsQuery(Strict):
    """Query of `GET /v1/tasks/<id>/rows`."""

    row: RowNumbers = Field("", description="only rows with these numbers, such as 7,12-40,100001-")
    id: str = Field("", max_length=MAX_SEARCHED, description="only rows with this id")
    tag: str = Field("", max_length=MAX_SEARCHED, description="only rows with this tag")
    q: str = Field(
        "",
        max_length=MAX_SEARCHED,
        description="only rows with this text, in any case, in a cell or their message; data URIs are not searched",
    )
    rows: Rows = Field(Rows.ALL, description="rows by what became of them; unhandled ones have no outcome so far")
    code: OptionalCode = Field(None, description="only rows with this code")
    sort: Sort = Field(
        "", description="by the code or a measurement, with - the highest first; empty: in the order of the file"
    )
    skip: int = Field(0, ge=0, le=MAX_ROW)
    limit: int = Field(100, ge=1, le=1000)


def _other_limit(limit: Limit) -> Any:
    """A limit to judge by, which may be left out."""
    field = Annotated[
        int | None,
        Field(ge=0, le=limit.most),
        BeforeValidator(json_integer),
        empty_is_absent(None),
        integer(0, limit.most),
    ]
    return field, Field(
        None,
        json_schema_extra=without_default,
        description=f"{limit.title.lower()}, {limit.unit}; absent: the task's own",
    )


_OtherLimits: Any = create_model(
    "_OtherLimits", __base__=Strict, **{name: _other_limit(limit) for name, limit in LIMITS.items()}
)


class JudgeBody(_OtherLimits):
    """Body of `POST /v1/tasks/<id>/judge`: limits; 0 means no limit."""


def _false(value: object) -> object:
    if value is None or value is False:
        return value
    raise ValueError("can only be false: an import cannot be made a dry run")


class LimitsBody(_OtherLimits):
    """Body of `POST /v1/tasks/<id>/limits`: limits; 0 means no limit."""

    dry_run: Annotated[Literal[False] | None, BeforeValidator(_false)] = Field(
        None, description="false: a dry run is made real, its faces are added"
    )
    preview: bool = Field(False, description="only count the rows")  # noqa: FBT003

    @property
    def limits(self) -> dict[str, int]:
        """The limits that are given."""
        return {name: limit for name in LIMITS if (limit := getattr(self, name)) is not None}


class MeasurementsQuery(Strict):
    """Query of `GET /v1/tasks/<id>/measurements`."""

    of: Literal["faces", "score", "width", "height", "pitch", "yaw", "roll", "blur"]
    bins: int = Field(36, ge=1, le=1000)
