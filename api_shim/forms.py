"""Forms, as `create` and the console's pages send them: all values are texts."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema, create_model
from spectree.model_adapter.pydantic_adapter import BaseFile

from api_shim.fields import Strict, empty_is_absent, integer, number, without_default
from face_import.contract import DEFAULT_THREAD_NUM, MAX_CALLBACK_URL, MAX_SOURCE_URL, OnAlike
from face_import.domain.failures import JUDGED_FROM
from face_import.domain.models import FAILURE_POLICY, LIMITS, SCOPE, Limit
from face_import.domain.reading import (
    COLUMNS_SCHEMA,
    ENCODINGS,
    MAX_COLUMNS,
    MAX_ENCODING,
    MAX_SHEET,
    SEPARATOR_PATTERN,
    SEPARATORS,
)

KEY_HEADER, REPLAYED_HEADER = "Idempotency-Key", "Idempotency-Replayed"
KEY_PATTERN = "^[!-~]{1,255}$"
_URL_OR_EMPTY = r"^([A-Za-z][A-Za-z0-9+.-]*://\S+)?$"


def _mode(value: object) -> object:
    """Convert the strings that forms send: literals are compared without conversion."""
    return {"": 0, "0": 0, "1": 1}.get(value, value) if isinstance(value, str) else value


def _limit(limit: Limit) -> Any:
    """A limit as a form's field."""
    return number(limit.most), Field(0, description=f"{limit.title.lower()}, {limit.unit}")


class _Group(Strict):
    group_name: str = Field(description="face group to import into")


POLICY = {
    "max_failed": "failed rows of an attempt beyond which the task is stopped; 0 means any number may fail",
    "max_failed_percent": "the same as a share of the attempt's handled rows in percent, judged from "
    f"{JUDGED_FROM} rows on, or once all are handled; 0 means any share may fail",
    "fail_on_errors": "1: Airflow's run fails if the task is completed with failed rows; the task itself is completed",
}
_LIMITS = {name: _limit(limit) for name, limit in LIMITS.items()}
_FAILURES: dict[str, Any] = {
    name: (number(FAILURE_POLICY[name].most), Field(0, description=text)) for name, text in POLICY.items()
}
_SCOPES: dict[str, Any] = {
    name: (number(SCOPE[name].most), Field(0, description=text))
    for name, text in {
        "measure": "1: faces are measured in full, whatever the limits need, so that other limits can be judged later",
        "dry_run": "1: all is measured and judged, and no face is added to the group",
        "sample": "how many rows are handled, spread evenly over the file; 0 means all",
    }.items()
}
_SCORE = Annotated[
    float,
    Field(ge=0, le=1),
    empty_is_absent(0),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
]
_WORD = Annotated[OnAlike, empty_is_absent(OnAlike.REFUSE), WithJsonSchema({"type": "string", "enum": [*OnAlike]})]
_GUARDS: dict[str, Any] = {
    "same_picture": (
        number(1),
        Field(0, description="1: a row is 103 if another row of the task has imported the very same image"),
    ),
    "alike": (
        _SCORE,
        Field(
            0,
            description="the face library's score from which a face counts as that of another tag in the group, so "
            "that its row is 105; 0 means off",
        ),
    ),
    "alike_tag": (
        _SCORE,
        Field(
            0,
            description="the score that a face must have with one of its own tag, if the group has such faces, or else "
            "its row is 106; 0 means off",
        ),
    ),
    "on_alike": (
        _WORD,
        Field(OnAlike.REFUSE, description="rows that would be 105 or 106 are refused, or imported with a note"),
    ),
}
_Limited: Any = create_model("_Limited", __base__=_Group, **_LIMITS, **_FAILURES, **_SCOPES, **_GUARDS)


_LimitsForm: Any = create_model("_LimitsForm", __base__=Strict, **_LIMITS)


class LimitsForm(_LimitsForm):
    """Limits as the console's form sends them, in words of digits; a blank one is 0, no limit."""


class CreateForm(_Limited):
    """Fields of `POST /v1/tasks/create`, with either `file` or `source`; 0 means no limit."""

    thread_num: Annotated[
        int, Field(ge=0), AfterValidator(lambda number: number or DEFAULT_THREAD_NUM), empty_is_absent(0), integer(0)
    ] = Field(
        DEFAULT_THREAD_NUM,
        description="concurrency: maximum number of rows with a request in flight; "
        f"0, which clients send for an unset integer, means {DEFAULT_THREAD_NUM}",
    )
    host_threads: Annotated[int, Field(ge=0), empty_is_absent(0), integer(0)] = Field(
        0,
        description="images that are fetched from one image host at a time, over the whole task; "
        "0 means no other bound than thread_num",
    )
    mode: Annotated[Literal[0, 1], BeforeValidator(_mode), integer(0, 1)] = Field(
        0, description="on errors: 0 logs the row and continues, 1 stops the task"
    )
    file: Annotated[BaseFile | None, WithJsonSchema({"type": "string", "format": "binary"})] = Field(
        None, json_schema_extra=without_default, description="the CSV or xlsx file: uri, tag, description"
    )
    source: str = Field(
        "",
        max_length=MAX_SOURCE_URL,
        json_schema_extra={"pattern": _URL_OR_EMPTY},
        description="URL of the CSV or xlsx file, which is read when the task is started",
    )
    callback_url: str = Field(
        "",
        max_length=MAX_CALLBACK_URL,
        json_schema_extra={"pattern": r"^(https?://\S+)?$"},
        description="URL that gets a signed POST whenever the task stops or completes",
    )
    encoding: str = Field(
        "",
        max_length=MAX_ENCODING,
        description=f"encoding of the file, for instance {', '.join(ENCODINGS)}; empty: recognised",
    )
    separator: str = Field(
        "",
        json_schema_extra={"pattern": f"^({SEPARATOR_PATTERN})?$"},
        description=f"character between cells: {', '.join(SEPARATORS.values())} (also as the word tab); "
        "empty: recognised",
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
        json_schema_extra=without_default,
        description="identifies this create: sending it again with the same content answers the same id",
    )


class ConcurrencyForm(Strict):
    """The same for the console's form, whose numbers are strings."""

    thread_num: int = Field(ge=1)
