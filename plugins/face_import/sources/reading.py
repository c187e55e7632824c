"""One reading of a file: its separator, its header and its columns, decided once from its first records."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from face_import.contract import SOURCE_COLUMNS
from face_import.domain.cells import unguarded
from face_import.domain.reading import RESULT_COLUMNS, SEPARATORS, Reading, ReadingOptions, own_cells
from face_import.domain.uri import cleaned, display, looks_like_uri
from face_import.errors import Ambiguous, SourceError
from face_import.sources.header_row import (
    NO_TITLE,
    Record,
    are_of_results,
    captions_of,
    header_at,
    results_at,
    title_of,
    titles_of,
)
from face_import.sources.headers import field_of, find_column
from face_import.sources.records import is_blank

SAMPLE_ROWS = 100
POSITIONAL = {"uri": 0, "tag": 1, "description": 2}
"""Columns of a file without a header."""
PLAIN = Reading(separator=",", columns=POSITIONAL, width=3)
_SHOWN = 80
_DECLARATION = re.compile(r'"?sep=(.?)"?[,;|\t]*(?=[\r\n]|\Z)', re.IGNORECASE)
_PATH_PARAMETER = re.compile(r";\w+=")
"""As in `/a;jsessionid=5`: this semicolon separates no cells."""
_IMAGE_NAME = re.compile(r"\.(jpe?g|png|webp|gif|bmp|tiff?|hei[cf]|avif)\Z", re.IGNORECASE)


def decide(sample: str, options: ReadingOptions) -> Reading:
    """Decide how a source is read.

    Results of an earlier import are read as the file that it had. Its columns were decided then, so its rows are not
    judged again: they may all be bad ones.

    Args:
        sample: its first lines, whole ones; long runs of base64 may be shortened.
        options: what the client says about it. A declaration of the separator in the first line is skipped even if
            they name another one.

    Raises:
        Ambiguous: `options.columns` can settle which column is which; the text names the candidates and what to do.
        SourceError: it is not one table, or has no URIs.
    """
    declaration = _DECLARATION.match(sample)
    text = sample[declaration.end() :] if declaration else sample
    separator = options.separator or (_declared(declaration[1]) if declaration else _separator(text, options))
    records = list(_records(text, separator))
    if not records:
        raise SourceError("the file has no rows")
    captions = captions_of(records, options)
    records = records[captions:]
    above = header_at(records, options)
    titles = [] if above is None else titles_of(records[above])
    rows = records if above is None else records[above + 1 :]
    if of_results := are_of_results(titles):
        titles = [title_of(unguarded(cell)) for cell in records[above or 0][: len(titles) - len(RESULT_COLUMNS)]]
        rows = [own_cells(row, len(titles)) for row in rows]
    else:
        _check_for_results(titles)
    table = _Table(titles, rows)
    if not table.rows:
        raise SourceError("the file has no rows below its header")
    if not of_results:
        table.check_quoting(separator)
    try:
        columns = _columns(table, options)
        width = len(titles) or (table.widest if options.columns else len(POSITIONAL))
        if not of_results:
            table.check_width(width)
            table.check_uris(columns["uri"], records[0] if not options.columns else ())
    except Ambiguous as error:
        error.separator, error.titles, error.records = separator, titles, table.rows
        raise
    skipped = bool(declaration) + captions + (above or 0)
    return Reading(
        separator=separator,
        skipped=skipped,
        titles=tuple(titles),
        columns=columns,
        width=width,
        of_results=of_results,
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """The sample as a table: titles (none without a header) and rows."""

    titles: Sequence[str]
    rows: Sequence[Record]

    @property
    def widest(self) -> int:
        return max(len(row) for row in self.rows)

    def name(self, position: int) -> str:
        """A column for a message."""
        title = self.titles[position] if position < len(self.titles) else ""
        return f"column {position + 1} ({_short(title)})" if title else f"column {position + 1}"

    def choice(self, position: int) -> str | int:
        """A column as it is given in `columns`."""
        title = self.titles[position] if position < len(self.titles) else ""
        return title if title and list(self.titles).count(title) == 1 else position + 1

    def has_uris(self, position: int) -> bool:
        return any(looks_like_uri(row[position]) for row in self.rows if position < len(row))

    def check_quoting(self, separator: str) -> None:
        """Reject a file whose lines are each one quoted cell."""
        whole = [row[0] for row in self.rows if len(row) == 1 and _is_a_record(row[0], separator, len(self.titles))]
        if 2 * len(whole) > len(self.rows):
            raise SourceError(
                f"each line is one quoted cell, for instance {_short(whole[0])}; "
                "remove the quotation marks around the lines, or save the table as CSV again"
            )

    def check_width(self, width: int) -> None:
        """Reject a file most of whose rows have more cells than there are columns: all these rows would fail."""
        longer = [number for number, row in enumerate(self.rows, 1) if any(map(str.strip, row[width:]))]
        if 2 * len(longer) <= len(self.rows):
            return
        row = self.rows[longer[0] - 1]
        text = f"row {longer[0]} has {len(row)} cells for {width} columns, like most of the rows"
        if any(cell.startswith("data:") for cell in row):
            raise SourceError(f"{text}; a data URI contains a comma and must be quoted")
        if self.titles:
            raise SourceError(f"{text}; quote cells that contain the separator, or complete the header")
        uris = [position + 1 for position in self._uri_columns()]
        raise Ambiguous(
            f"{text}, which are uri, tag and description if there is no header",
            f"add a header, or {_advice(uri=uris or [1])} and so on",
        )

    def check_uris(self, position: int, first: Sequence[str]) -> None:
        """Reject a file whose uri column has no URI, or whose first record may be a header or a row."""
        if self.has_uris(position):
            cell = first[position] if position < len(first) else ""
            if not self.titles and cell.strip() and not (NO_TITLE.match(cell.strip()) or looks_like_uri(cell)):
                raise Ambiguous(
                    f"the first row has no URI and no known column name ({_short(cell)})",
                    "if it is a header, say which column is which by title: "
                    f'columns={{"uri": {json.dumps(cell, ensure_ascii=False)}}} and so on; if it is a row, by number: '
                    'columns={"uri": 1, "tag": 2, "description": 3}',
                )
            return
        cell = next((row[position] for row in self.rows if position < len(row)), "")
        text = f"{self.name(position)} has no URI in the first {len(self.rows)} rows; row 1 has {_short(cell)}"
        if others := self._uri_columns():
            found = " and ".join(map(self.name, others))
            advice = _advice(uri=[self.choice(other) for other in others])
            likewise = "" if self.titles else ", and likewise the tag, description and id"
            raise Ambiguous(f"{text}. {found} has URIs", f"{advice}{likewise}")
        raise SourceError(f"{text}. A URI begins with http://, https:// or data:")

    def _uri_columns(self) -> list[int]:
        return [position for position in range(self.widest) if self.has_uris(position)]


def _declared(separator: str) -> str:
    if separator not in SEPARATORS or not separator:
        raise SourceError(f"sep={separator}: the separator must be one of {', '.join(SEPARATORS.values())}", line=1)
    return separator


def _separator(text: str, options: ReadingOptions) -> str:
    """The separator by which the sample is a table; a comma if it has a single column."""
    tables = {separator: list(_records(text, separator)) for separator in SEPARATORS}
    results = [separator for separator, records in tables.items() if results_at(records) is not None]
    named = results or [separator for separator, records in tables.items() if _has_titles(records, options)]
    fitting = named or [separator for separator, records in tables.items() if _has_rows(records)]
    if len(fitting) > 1:
        fitting = [one for one in fitting if not _in_cells(tables[one], set(fitting) - {one})] or fitting
    if len(fitting) > 1:
        names = " or ".join(f"{SEPARATORS[one]} (row 1: {_short(str(tables[one][0]))})" for one in fitting)
        raise SourceError(
            f'the separator may be a {names}; name it in the field "separator", '
            f"or declare it in a first line, as in sep={fitting[0]}",
            line=1,
        )
    return fitting[0] if fitting else ","


def _has_titles(records: Sequence[Record], options: ReadingOptions) -> bool:
    at = header_at(records, options)
    return at is not None and len(records[at]) > 1


def _has_rows(records: Sequence[Record]) -> bool:
    """Whether most records have several cells, one of them an address without other separators in it."""
    fitting = sum(1 for record in records if len(record) > 1 and any(map(_is_address, record)))
    return 2 * fitting > len(records)


def _is_address(cell: str) -> bool:
    cell = cleaned(cell)
    if not looks_like_uri(cell):
        return False
    if cell.startswith("data:"):
        return "," in cell
    path = _PATH_PARAMETER.sub("", cell.partition("?")[0])
    if any(character.isspace() or character == '"' for character in path):
        return False
    return bool(_IMAGE_NAME.search(path)) or not set(path) & set(";|")


def _in_cells(records: Sequence[Record], separators: set[str]) -> bool:
    """Whether most records have one of the separators in a cell; in an address, in the name of the file."""
    having = sum(1 for record in records if any(separators & set(_name_in(cell)) for cell in record))
    return 2 * having > len(records)


def _name_in(cell: str) -> str:
    """The last part of an address's path: a separator before it, or in the query, is a part of the address."""
    if not _is_address(cell):
        return cell
    return _PATH_PARAMETER.sub("", cell.partition("?")[0]).rpartition("/")[2] if cell[:5] != "data:" else ""


def _records(text: str, separator: str) -> Iterator[Record]:
    """The first records of the sample, without blank ones, as a lenient reader sees them."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    found = 0
    try:
        for record in reader:
            if not is_blank(record):
                yield record
                found += 1
            if found > SAMPLE_ROWS:
                return
    except csv.Error:  # the strict reader will name its line
        return


_TELLING = {"row", "line", "code", "reason", "message", "face_id"}
"""Titles that no other file has together."""


def _check_for_results(titles: Sequence[str]) -> None:
    """Reject results whose columns were moved, renamed or removed in part.

    Read as any other file, their `face_id` would be taken for the id, and the guards of their cells for text.
    """
    if {title.casefold() for title in titles} >= _TELLING:
        ours = f"{RESULT_COLUMNS[0]!r} to {RESULT_COLUMNS[-1]!r}"
        raise SourceError(
            f"these are results of an import, but their columns {ours} are not as they were: put all of them back, "
            "in their order, behind all other columns"
        )


def _columns(table: _Table, options: ReadingOptions) -> dict[str, int]:
    """Position of each of our columns: those that the client chose, and those that the header names."""
    chosen = {
        field: None if choice is None else _chosen(table, field, choice) for field, choice in options.columns.items()
    }
    columns: dict[str, int] = {field: position for field, position in chosen.items() if position is not None}
    if not table.titles:
        columns = columns or {field: position for field, position in POSITIONAL.items() if field not in chosen}
    else:
        for field, positions in _known(table.titles, set(columns.values())).items():
            if field not in chosen:
                columns[field] = _only(table, field, positions)
    if "uri" not in columns:
        seen = ", ".join(map(_short, table.titles)) or "no header"
        candidates = [table.choice(p) for p in range(table.widest) if table.has_uris(p)]
        problem = f"no column is known to have the URIs ({seen})"
        if not candidates:
            raise SourceError(f"{problem}, and none has any: a URI begins with http://, https:// or data:")
        raise Ambiguous(problem, _advice(uri=candidates))
    return {field: columns[field] for field in SOURCE_COLUMNS if field in columns}


def _known(titles: Sequence[str], taken: Iterable[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for position, title in enumerate(titles):
        if (field := field_of(title)) and position not in taken:
            found.setdefault(field, []).append(position)
    return found


def _only(table: _Table, field: str, positions: Sequence[int]) -> int:
    if len(positions) > 1:
        names = " and ".join(map(table.name, positions))
        raise Ambiguous(f"{names} may all be the {field}", _advice(**{field: [table.choice(p) for p in positions]}))
    return positions[0]


def _chosen(table: _Table, field: str, choice: str | int) -> int:
    position = find_column(table.titles, choice, max(len(table.titles), table.widest))
    if position is None:
        seen = ", ".join(map(_short, table.titles)) or f"{table.widest} without titles"
        raise Ambiguous(f"columns: there is no column {choice!r} for {field}; the file has {seen}")
    return position


def _is_a_record(cell: str, separator: str, width: int) -> bool:
    """Whether a cell is itself a record of several cells."""
    cells = next(_records(cell, separator), [])
    if width > 1:
        return len(cells) == width and any(map(looks_like_uri, cells))
    return len(cells) > 1 and any(looks_like_uri(part) and _IMAGE_NAME.search(part) for part in cells)


def _advice(**candidates: Sequence[str | int]) -> str:
    """How a client says which column is which."""
    return "say which with " + " or ".join(
        f"columns={json.dumps({field: choice}, ensure_ascii=False)}"
        for field, choices in candidates.items()
        for choice in choices
    )


def _short(text: str) -> str:
    shown = display(text)
    return repr(shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…")
