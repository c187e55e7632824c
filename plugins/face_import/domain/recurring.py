"""`recurring_imports.yaml`: its schema, and reading it, one entry at a time (docs/how-to/recurring.md)."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import yaml
from jinja2 import Environment, TemplateSyntaxError
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from face_import.contract import DEFAULT_THREAD_NUM, ENTRY_NAME_PATTERN, GROUP_ASSET, MAX_CALLBACK_URL, Mode
from face_import.domain.guard import GUARD
from face_import.domain.limits import check_group_name, check_threads
from face_import.domain.models import FAILURE_POLICY, LIMITS, SCOPE, Limit, Row
from face_import.domain.reading import READING_FIELDS, ReadingOptions, reading_fields, reading_options
from face_import.errors import ConfigError, FaceImportError
from face_import.settings import Settings


class _Strict(BaseModel):
    """Unknown names and values of another type are errors: a misspelt limit must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _limit(limit: Limit) -> Any:
    return int, Field(0, ge=0, le=limit.most)


EntryLimits: Any = create_model(
    "EntryLimits", __base__=_Strict, **{name: _limit(limit) for name, limit in LIMITS.items()}
)
"""Limits of the faces, 0 is off."""


class Schedule(_Strict):
    """When an entry runs: exactly one of a cron expression, an asset, and a timetable.

    Attributes:
        cron: five fields, or one of Airflow's presets like `@daily`.
        timezone: of the cron expression.
        asset: URI of an Airflow asset; each of its events starts a run.
        timetable: dotted path of a timetable class that Airflow knows.
        arguments: the class's arguments by name.
    """

    cron: str = ""
    timezone: str = "UTC"
    asset: str = ""
    timetable: str = ""
    arguments: dict[str, Any] = {}

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone; an example is Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _one(self) -> "Schedule":
        if sum(map(bool, (self.cron, self.asset, self.timetable))) != 1:
            raise ValueError("exactly one of cron, asset, timetable is required")
        return self


def _schedule(value: object) -> object:
    return {"cron": value} if isinstance(value, str) else value


class Entry(_Strict):
    """One recurring import.

    Attributes:
        source: Jinja template of the source's URL, rendered by Airflow when the entry runs.
        encoding: of the source; empty: recognised.
        separator: of the source, as in `reading_options`; empty: recognised.
        sheet: of a workbook; empty: the first one.
        columns: which column is which, as in `ReadingOptions`.
        callback_url: called whenever one of its imports stops or completes; a template, too.
        patience_s: how long to wait for a source that does not exist yet.
        changes_only: import only rows that are new or changed since the entry's earlier runs.
    """

    name: Annotated[str, Field(pattern=ENTRY_NAME_PATTERN)]
    schedule: Annotated[Schedule, BeforeValidator(_schedule)]
    source: Annotated[str, Field(min_length=1, max_length=4096)]
    group: str
    encoding: str = ""
    separator: str = ""
    sheet: str = ""
    columns: dict[str, Any] | None = None
    limits: EntryLimits = EntryLimits()
    mode: Annotated[int, Field(ge=int(Mode.SKIP), le=int(Mode.STOP))] = int(Mode.SKIP)
    thread_num: Annotated[int, Field(ge=1)] = DEFAULT_THREAD_NUM
    host_threads: Annotated[int, Field(ge=0)] = 0
    max_failed: Annotated[int, Field(ge=0, le=FAILURE_POLICY["max_failed"].most)] = 0
    max_failed_percent: Annotated[int, Field(ge=0, le=FAILURE_POLICY["max_failed_percent"].most)] = 0
    fail_on_errors: Annotated[int, Field(ge=0, le=FAILURE_POLICY["fail_on_errors"].most)] = 0
    measure: Annotated[int, Field(ge=0, le=SCOPE["measure"].most)] = 0
    same_picture: Annotated[int, Field(ge=0, le=1)] = 0
    alike: Annotated[float, Field(ge=0, le=1)] = 0
    alike_tag: Annotated[float, Field(ge=0, le=1)] = 0
    on_alike: Literal["refuse", "note"] = "refuse"
    callback_url: Annotated[str, Field(max_length=MAX_CALLBACK_URL, pattern=r"^(https?://.+)?$")] = ""
    patience_s: Annotated[int, Field(ge=0, le=7 * 86_400)] = 3600
    changes_only: bool = False

    @field_validator("source", "callback_url")
    @classmethod
    def _template(cls, value: str) -> str:
        try:
            Environment(autoescape=False).parse(value)  # noqa: S701 - parsed for its syntax only, and it makes a URL
        except TemplateSyntaxError as error:
            raise ValueError(f"not a valid template: {error.message}") from None
        return value

    @model_validator(mode="after")
    def _ends(self) -> "Entry":
        if self.schedule.asset == GROUP_ASSET.format(group=self.group):
            raise ValueError(f"an import into {self.group!r} triggered by {self.group!r} itself would never end")
        return self

    @property
    def dag_id(self) -> str:
        """Id of its DAG."""
        return f"recurring_{self.name}"

    def options(self) -> ReadingOptions:
        """How the source is to be read.

        Raises:
            InvalidRequest: that is malformed; the text names the field.
        """
        return reading_options({name: getattr(self, name) for name in READING_FIELDS})

    def conf(self) -> dict[str, Any]:
        """Parameters of the import's run; the source is still a template."""
        return {
            "source": self.source,
            "group_name": self.group,
            "thread_num": self.thread_num,
            "host_threads": self.host_threads,
            "mode": self.mode,
            **{name: getattr(self, name) for name in FAILURE_POLICY},
            "measure": self.measure,
            **{name: getattr(self, name) for name in GUARD},
            **({"callback_url": self.callback_url} if self.callback_url else {}),
            **self.limits.model_dump(),
            **{name: value for name, value in reading_fields(self.options()).items() if value is not None},
            **({"entry": self.name} if self.changes_only else {}),
        }


@dataclass(frozen=True, slots=True)
class Entries:
    """Contents of a file.

    Attributes:
        entries: the valid ones, in file order.
        problems: what is wrong with each of the others; names the entry, the field and the rule.
    """

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]


def read_entries(text: str, settings: Settings) -> Entries:
    """Read the file; an invalid entry does not affect the others.

    Raises:
        ConfigError: the file cannot be parsed.
    """
    entries: dict[str, Entry] = {}
    problems = []
    for number, raw in enumerate(_list_of_entries(text), 1):
        name = raw.get("name") if isinstance(raw, dict) else None
        try:
            entry = Entry.model_validate(raw)
            check_group_name(entry.group, settings)
            check_threads(settings, thread_num=entry.thread_num, host_threads=entry.host_threads)
            entry.options()
            if entry.name in entries:
                raise ConfigError("name: already used by an earlier entry")
            entries[entry.name] = entry
        except (ValidationError, FaceImportError) as error:
            problems.append(f"entry {number} ({name or 'without a name'}): {_text(error)}")
    return Entries(tuple(entries.values()), tuple(problems))


def _list_of_entries(text: str) -> list[object]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {' '.join(str(error).split())}") from None
    if document is None:
        return []
    entries = document.get("imports") or [] if isinstance(document, dict) and set(document) == {"imports"} else None
    if not isinstance(entries, list):
        raise ConfigError("the file must contain one list named `imports`")
    return entries


def _text(error: ValidationError | FaceImportError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'entry'}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()
    )


def row_key(row: Row) -> bytes:
    """Identifies a row across files, by its id or else its URI; a digest of 32 bytes."""
    return _digest("id", row.id) if row.id else _digest("uri", row.uri)


def face_id_of(entry: str, row: Row, digest: bytes) -> str:
    """The row's id, else 32 hexadecimal digits derived from entry, URI and `content_digest`.

    So a made id changes with the content, and a delete that the library executes late cannot hit the new face.
    """
    return row.id or _digest(entry, row.uri, digest).hex()[:32]


def cells_digest(row: Row) -> bytes:
    """Digest of the cells, 32 bytes."""
    return _digest(row.uri, row.tag, row.description)


def content_digest(row: Row, data: bytes) -> bytes:
    """Digest of what is imported, 32 bytes; without the URI, which changes if it is signed."""
    return _digest(row.tag, row.description, data)


def _digest(*parts: str | bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.digest()
