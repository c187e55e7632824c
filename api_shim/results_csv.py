"""Results as a CSV file that can be imported as it is, and is safe in a spreadsheet: its cells are untrusted."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from face_import.catalogue import Selection
from face_import.catalogue.schema import MEASURED
from face_import.domain.cells import SUSPECT, guarded
from face_import.domain.reading import RESULT_COLUMNS
from face_import.results import ResultRow, Results

_MARK = "\ufeff"
"""Without a byte order mark, spreadsheets would not read the file as UTF-8."""
_NOT_MEASURED: list[object] = [None] * len(MEASURED)
_NOTHING = "," * (len(MEASURED) - 1)
_SPECIAL = re.compile(r'[",\r\n]')
_OTHER_SEPARATORS = re.compile(r"[;\t|]")


def results_csv(results: Results, selection: Selection) -> Iterator[str]:
    """Yield the file in pieces: a header, and each selected row with its cells and `RESULT_COLUMNS`.

    The latter stand below their titles also in rows with more or fewer cells than the file has columns: missing cells
    are empty, and cells beyond the columns come last, without titles.
    """
    with results.opened() as source:
        titles = source.titles()
        yield _MARK + _written([[*map(guarded, titles), *RESULT_COLUMNS]])
        for rows in results.batches(source, selection):
            yield _plain(rows, len(titles)) or _written(_cells(row, len(titles)) for row in rows)


def _plain(rows: Sequence[ResultRow], width: int) -> str:
    """What `_written` would make of plain rows, in a third of the time; empty if there are others.

    There are no commas or line ends but the separators, nothing to quote, to split or to guard.
    """
    pieces = []
    for (row, code, reason, message, face_id, *measured), (line, cells) in rows:
        if len(cells) != width or not SUSPECT.isdisjoint([cell[:1] for cell in (message, face_id, *cells)]):
            return ""
        known = _NOTHING if measured == _NOT_MEASURED else ",".join(map(_shown, measured))
        pieces.append(
            f"{','.join(cells)},{row},{line},{'' if code is None else code},{reason},{message},{face_id},{known}\r\n"
        )
    lines = "".join(pieces)
    ends = lines.count("\r") == lines.count("\n") == len(rows)
    is_plain = ends and lines.count(",") == len(rows) * (width + len(RESULT_COLUMNS) - 1)
    return lines if is_plain and '"' not in lines and not _OTHER_SEPARATORS.search(lines) else ""


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _cells(row: ResultRow, width: int) -> list[Any]:
    (number, code, reason, message, face_id, *measured), (line, cells) = row
    own = [guarded(cell) for cell in cells]
    own[len(own) : width] = [""] * (width - len(own))
    result = (number, line, code, reason, guarded(message), guarded(face_id), *measured)
    return [*own[:width], *result, *own[width:]]


def _written(lines: Iterable[list[Any]]) -> str:
    """Not by `csv.writer`: it holds a cell several times, at four bytes a character, and some have many megabytes."""
    return "".join([_line(list(map(_shown, cells))) for cells in lines])


def _line(cells: list[str]) -> str:
    # In some locales, spreadsheets split at semicolons, but not inside quotation marks.
    all_quoted = any(map(_OTHER_SEPARATORS.search, cells))
    return ",".join([_quoted(cell) if all_quoted or _SPECIAL.search(cell) else cell for cell in cells]) + "\r\n"


def _quoted(cell: str) -> str:
    return '"{}"'.format(cell.replace('"', '""'))
