"""The columns of a preview: what each of them is used for, its menu, and the first rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from face_console.view import shown_uri
from face_import.contract import SOURCE_COLUMNS
from face_import.domain.reading import Reading, ReadingOptions
from face_import.domain.uri import cleaned, display, looks_like_uri
from face_import.errors import Ambiguous, SourceError
from face_import.sources.headers import field_of, find_column
from face_import.sources.reading import POSITIONAL
from face_import.sources.records import unwrapped

FIRST_ROWS = 8
SHOWN_CHARACTERS = 200
SHOWN_COLUMNS = 200
"""Bounds the page for a file with thousands of columns; those in use are shown wherever they are."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file.

    Attributes:
        number: from 1.
        title: as shown; empty if it has none.
        name: its title in `columns`, if the first record is the header; empty if only the number will do.
        field: our column that it is used for, or empty.
    """

    number: int
    title: str
    name: str
    field: str


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a file.

    Attributes:
        columns: those that are shown, in the file's order.
        rows: their cells as shown.
        hidden: number of columns that are not shown.
        has_header: whether the first record is read as the header.
        asks_header: whether the client may say that: no title in the first record is known, and it has no URI.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    hidden: int
    has_header: bool
    asks_header: bool


def cell(text: str) -> str:
    """A cell as it is shown: abbreviated to a few lines at most, without image data or the secrets of signed URLs."""
    shown = shown_uri(text) if looks_like_uri(text) else display(text)
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…"


def table_of(reading: Reading, records: Sequence[Sequence[str]]) -> Table:
    """The table of a file that can be read; `records` are its first ones below the header."""
    used = {position: field for field, position in reading.columns.items()}
    return _table(reading.titles, records, used, has_header=bool(reading.titles))


def table_to_settle(error: Ambiguous, options: ReadingOptions) -> Table:
    """The table of a file whose columns are to be chosen, as far as they are known."""
    records = error.records[: FIRST_ROWS + 1]
    used = _known(error.titles, records, options.columns)
    table = _table(error.titles, records, used, has_header=bool(error.titles))
    if not table.asks_header or any(isinstance(choice, int) for choice in options.columns.values()):
        return table
    return _table(records[0], records[1:], used, has_header=True)  # a first record without a URI is likely a header


def _table(
    titles: Sequence[str], records: Sequence[Sequence[str]], used: Mapping[int, str], *, has_header: bool
) -> Table:
    first = [cleaned(unwrapped(title)) for title in titles or next(iter(records), ())]
    asks_header = not any(map(field_of, first)) and not any(map(looks_like_uri, first))
    names = first if has_header or asks_header else ()
    width = max((len(titles), *map(_width, records), *(position + 1 for position in used)))
    shown = [position for position in range(width) if position < SHOWN_COLUMNS or position in used]
    columns = [
        Column(position + 1, cell(_at(titles, position)), _name(names, position), used.get(position, ""))
        for position in shown
    ]
    rows = [[cell(unwrapped(_at(record, position))) for position in shown] for record in records[:FIRST_ROWS]]
    return Table(columns, rows, width - len(shown), has_header, asks_header)


def shortened(record: Sequence[str]) -> list[str]:
    """A record to be kept for `table_of`: a cell may have megabytes."""
    return [text if len(text) <= SHOWN_CHARACTERS else cell(unwrapped(text)) for text in record]


def _name(titles: Sequence[str], position: int) -> str:
    """A title by which a column can be chosen, else empty."""
    title = _at(titles, position)
    usable = len(title) <= SHOWN_CHARACTERS and not title.isdecimal() and titles.count(title) == 1
    return title if usable else ""


def _known(
    titles: Sequence[str], records: Sequence[Sequence[str]], chosen: Mapping[str, str | int | None]
) -> dict[int, str]:
    """What each column is used for, as far as it is known: by choice, by its title, by the URIs in it."""
    width = max((len(titles), *map(_width, records)))
    used: dict[int, str] = {}
    for field, choice in chosen.items():
        if choice is not None and (position := _found(titles or records[0], choice, width)) is not None:
            used[position] = field
    for field in set(SOURCE_COLUMNS) - set(chosen):
        named = [position for position, title in enumerate(titles) if field_of(title) == field]
        if len(named) == 1:
            used.setdefault(named[0], field)
    if "uri" in chosen or "uri" in used.values():
        return used
    uris = [position for position in range(width) if any(looks_like_uri(_at(record, position)) for record in records)]
    if len(uris) == 1:
        used[uris[0]] = "uri"
    if uris == [0] and not titles and not chosen:
        used |= {position: field for field, position in POSITIONAL.items() if position < width}
    return used


def _found(titles: Sequence[str], choice: str | int, width: int) -> int | None:
    try:
        return find_column(titles, choice, width)
    except SourceError:
        return None


def _width(record: Sequence[str]) -> int:
    """Number of cells, without empty ones at the end."""
    return max((number for number, text in enumerate(record, 1) if text.strip()), default=0)


def _at(cells: Sequence[str], position: int) -> str:
    return cells[position] if position < len(cells) else ""
