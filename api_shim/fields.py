"""Kinds of fields that requests have: what is taken, and how the OpenAPI document describes it."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from face_import.contract import Code, TaskState
from face_import.domain.row_spans import PATTERN, row_spans
from face_import.results import SORTS


def empty_is_absent(default: object) -> BeforeValidator:
    """HTML forms send an empty string for a blank field."""
    return BeforeValidator(lambda value: default if value in ("", None) else value)


def integer(low: int, high: int | None = None) -> WithJsonSchema:
    """The schema of a number, as generated clients send it; of forms, blanks and strings of digits are accepted too."""
    return WithJsonSchema({"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high}))


def without_default(schema: dict[str, Any]) -> None:
    """Describe a field that may only be left out: it cannot be sent as null."""
    schema.pop("default", None)


def json_integer(value: object) -> object:
    """Reject strings and booleans, which pydantic would convert."""
    if isinstance(value, str | bool):
        raise ValueError("not an integer")  # noqa: TRY004 - pydantic's interface
    return value


def number(most: int) -> Any:
    """A form's number from 0, which may be blank."""
    return Annotated[int, Field(ge=0, le=most), empty_is_absent(0), integer(0, most)]


Status = Annotated[
    int,
    Field(ge=0, le=max(TaskState)),
    BeforeValidator(lambda value: int(value) if value in (*"01234",) else json_integer(value)),
    empty_is_absent(0),
    integer(0, max(TaskState)),
]


def _spans(text: str) -> str:
    try:
        row_spans(text)
    except ValueError as error:
        raise PydanticCustomError("row_numbers", "{problem}", {"problem": str(error)}) from None
    return text


_MOST_NUMBERS = 1000
"""Characters of row numbers and ranges in a query: they fit into a request line beside the rest of it."""
RowNumbers = Annotated[
    str,
    AfterValidator(_spans),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "maxLength": _MOST_NUMBERS}),
    Field(max_length=_MOST_NUMBERS),
]


Sort = Annotated[str, Field(pattern=f"^(-?({'|'.join(SORTS)}))?$")]
"""By what rows are sorted; with a leading `-`, the highest first."""
OptionalCode = Annotated[Code | None, empty_is_absent(None)]


class Strict(BaseModel):
    """A request without fields that nobody knows."""

    model_config = ConfigDict(extra="forbid")
