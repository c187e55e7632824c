"""How a file is read: what a client says about it, checked in one place, and what was decided at intake."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from face_import.contract import MAX_ROW, SOURCE_COLUMNS
from face_import.domain.cells import unguarded
from face_import.domain.charsets import codec_of, name_of
from face_import.errors import InvalidRequest, SourceError

MAX_ENCODING, MAX_SHEET, MAX_TITLE = 40, 255, 1024
"""Characters of the names."""
MAX_COLUMNS = 16_384
"""Characters of `columns` as JSON text."""
ENCODINGS: Final = ("utf-8", "utf-16", "gb18030", "gbk", "windows-1252", "big5", "shift_jis", "euc-kr")
"""Examples for messages and help."""
SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
"""The characters that may stand between cells, and their names."""
SEPARATOR_PATTERN: Final = r"[,;|\t]|tab|\\t"
"""Regular expression of what a client may send: one of them or, as few forms take a tab, one of its names."""
_TABS: Final = ("tab", r"\t")
COLUMNS_SCHEMA: Final[dict[str, Any]] = {
    "properties": {
        name: {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": MAX_TITLE},
                {"type": "integer", "minimum": 1, "maximum": MAX_ROW},
                {"type": "null"},
            ]
        }
        for name in SOURCE_COLUMNS
    },
    "additionalProperties": False,
}
"""JSON Schema of `columns`, apart from its type."""
RESULT_COLUMNS: Final = (
    *("row", "line", "code", "reason", "message", "face_id"),
    *("faces", "score", "width", "height", "pitch", "yaw", "roll", "blur"),
)
"""What results have of a row, behind the file's own columns."""
_NEVER_IN_A_NAME = re.compile(r"[\x00\ud800-\udfff]")
"""Databases and command lines reject them."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """What a client says about a file; whatever it does not say is decided at intake.

    Attributes:
        encoding: a name that `domain.charsets` knows, or empty to have it recognised.
        separator: one of `SEPARATORS`, or empty to have it recognised; it overrules a line `sep=;` in the file.
        sheet: name of a workbook's sheet, or empty for the first one.
        columns: for our columns, the title in the header or the number from 1; None for one that is not to be used.
    """

    encoding: str = ""
    separator: str = ""
    sheet: str = ""
    columns: Mapping[str, str | int | None] = field(default_factory=dict)


READING_FIELDS: Final = tuple(option.name for option in fields(ReadingOptions))
"""Names of the options, in forms and elsewhere."""
AS_FOUND: Final = ReadingOptions()
"""The client says nothing: all of it is decided at intake."""
SHOWN_TITLE, SHOWN_IGNORED = 200, 100
"""What a reading shows of a title, in characters, and of the columns that are not imported."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source is read: decided once, at intake, for the whole file.

    Attributes:
        separator: the character between cells.
        columns: position, from 0, of each of our columns that the source has.
        width: number of columns; a record with text beyond them is not imported.
        titles: the header's cells; empty without a header.
        skipped: records above the header or the first row: a declaration of the separator (`sep=;`), a table's title.
        encoding: encoding of the file as sent; it is always stored as UTF-8. Empty for a workbook, which has none.
        sheet: the workbook's sheet, or empty.
        sheets: names of the workbook's sheets that are not hidden, if there are others than `sheet`.
        of_results: whether the file has `RESULT_COLUMNS` behind its own columns; `width` and `titles` leave them out.
    """

    separator: str
    columns: Mapping[str, int]
    width: int
    titles: tuple[str, ...] = ()
    skipped: int = 0
    encoding: str = "utf-8"
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    of_results: bool = False

    def own(self, record: list[str]) -> list[str]:
        """A record's cells as they are in the file itself: of results, without what was added."""
        return own_cells(record, self.width) if self.of_results else record

    @property
    def ignored(self) -> list[int]:
        """Positions of the columns that are not imported."""
        return sorted(set(range(self.width)) - set(self.columns.values()))

    def named(self, position: int) -> str | int:
        """A column's title, shortened if it is long, or its number from 1 if it has none."""
        title = self.titles[position] if position < len(self.titles) else ""
        return (title if len(title) <= SHOWN_TITLE else f"{title[:SHOWN_TITLE]}…") or position + 1

    def described(self) -> dict[str, Any]:
        """The reading as the API shows it and as it is recorded with the task; of bounded size for any header.

        Of a workbook, `encoding` is None, and `sheets` has the names of its visible sheets if there are several.
        """
        ignored = [self.named(position) for position in self.ignored]
        if (more := len(ignored) - SHOWN_IGNORED) > 0:
            ignored[SHOWN_IGNORED:] = [f"… and {more} more"]
        return {
            "encoding": name_of(self.encoding) if self.encoding else None,
            "separator": self.separator,
            "header": bool(self.titles),
            "skipped": self.skipped,
            "columns": {field: self.named(position) for field, position in self.columns.items()},
            "ignored": ignored,
            "sheet": self.sheet or None,
            "sheets": list(self.sheets),
        }


def own_cells(record: list[str], width: int) -> list[str]:
    """The file's own cells of a record of results: those of its `width` columns, and those beyond all columns."""
    return [unguarded(cell) for cell in (*record[:width], *record[width + len(RESULT_COLUMNS) :])]


def reading_options(said: Mapping[str, Any]) -> ReadingOptions:
    """What a client says about a file.

    Args:
        said: may have `encoding`, `separator` and `sheet`, texts, and `columns`, a mapping or the JSON text of one.
            What is empty or None is not said.

    Raises:
        InvalidRequest: one of them is malformed; the text names it.
    """
    return ReadingOptions(
        encoding=_encoding(_name(said, "encoding", MAX_ENCODING).strip()),
        separator=_separator(said.get("separator")),
        sheet=_name(said, "sheet", MAX_SHEET),
        columns=_columns(said.get("columns")),
    )


def reading_fields(options: ReadingOptions) -> dict[str, Any]:
    """The inverse of `reading_options`, as JSON values; None for what is not said."""
    return {
        "encoding": options.encoding or None,
        "separator": options.separator or None,
        "sheet": options.sheet or None,
        "columns": dict(options.columns) or None,
    }


def _name(said: Mapping[str, Any], field: str, most: int) -> str:
    value = said.get(field) or ""
    if not isinstance(value, str) or len(value) > most or _NEVER_IN_A_NAME.search(value):
        raise _refusal(field, f"send a text of at most {most} characters")
    return value


def _encoding(name: str) -> str:
    try:
        if name:
            codec_of(name)
    except SourceError as error:
        raise _refusal("encoding", str(error)) from None
    return name


def _separator(said: object) -> str:
    """A separator, or empty; white space is not ignored, as it may be meant as a separator."""
    separator = "\t" if said in _TABS else said or ""
    if not isinstance(separator, str) or (separator and separator not in SEPARATORS):
        raise _refusal("separator", "send one of the characters , ; | or tab; leave it empty to have it recognised")
    return separator


def _columns(said: object) -> dict[str, str | int | None]:
    value = _parsed(said) if isinstance(said, str) else said
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _refusal("columns", 'send a JSON object, for instance {"uri": "photo", "id": 3, "tag": null}')
    for name, choice in value.items():
        if name not in SOURCE_COLUMNS:
            raise _refusal("columns", f"{str(name)[:80]!r} is not one of {', '.join(SOURCE_COLUMNS)}")
        if not _is_choice(choice):
            raise _refusal("columns", f"{name}: send a column's title, its number from 1, or null for no column")
    return dict(value)


def _parsed(text: str) -> object:
    if not text.strip():
        return None
    try:
        return json.loads(text) if len(text) <= MAX_COLUMNS else ()
    except (ValueError, RecursionError):
        return ()


def _is_choice(choice: object) -> bool:
    if isinstance(choice, str):
        return 0 < len(choice.strip()) <= len(choice) <= MAX_TITLE and not _NEVER_IN_A_NAME.search(choice)
    return choice is None or (isinstance(choice, int) and not isinstance(choice, bool) and 1 <= choice <= MAX_ROW)


def _refusal(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", field=field)
