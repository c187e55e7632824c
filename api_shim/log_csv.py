"""The log as CSV: its cells come from strangers, and somebody will open it in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from face_import.catalogue import LogEntry

_STARTS_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_TAKEN_OFF = ("\t", "\r", "\n")
"""A spreadsheet may take these off the start of a cell, and look at what is left."""
_NOT_SEEN = " \t\r\n\"'\u00a0\u200b\u2060\ufeff"
_OTHER_SEPARATORS = (";", "\t", "|")
_HARMLESS = re.compile(r"(?:\w[^;|\t\r\n]*\n)*").fullmatch
"""Lines of cells, as nearly all are: each begins with a letter or digit, and no spreadsheet splits it."""
_PLAIN = re.compile(r'(?:\w[^;|\t\r\n,"]*\n)*').fullmatch
"""Of these, what CSV has nothing to quote in."""
_ROWS_AT_ONCE = 1000


def log_csv(entries: Iterable[LogEntry], *, raw: bool) -> Iterator[str]:
    """Lines of uri, code, message without a header, some at a time.

    Rows that are plain or harmless together are written together: next to nothing of Python runs for each of them.

    Args:
        entries: failed rows.
        raw: leave cells that a spreadsheet would run as they are.
    """
    left = iter(entries)
    while rows := list(islice(left, _ROWS_AT_ONCE)):
        cells = "".join([f"{uri}\n{message}\n" for _, uri, _, message in rows])
        if cells.count("\n") == 2 * len(rows) and _PLAIN(cells):  # else a cell has lines of its own
            yield "".join([f"{uri},{code},{message}\r\n" for _, uri, code, message in rows])
            continue
        buffer = io.StringIO()
        if raw or _HARMLESS(cells):
            csv.writer(buffer).writerows(row[1:] for row in rows)
        else:
            _write_carefully(buffer, rows)
        yield buffer.getvalue()


def _write_carefully(buffer: io.StringIO, rows: Iterable[LogEntry]) -> None:
    plain = csv.writer(buffer)
    # A spreadsheet of another country splits at semicolons, but not inside quotation marks.
    quoted = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    for _, uri, code, message in rows:
        writer = quoted if any(mark in uri or mark in message for mark in _OTHER_SEPARATORS) else plain
        writer.writerow((_neutral(uri), code, _neutral(message)))


def _neutral(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula: an apostrophe makes it text."""
    runs = cell.startswith(_TAKEN_OFF) or cell.lstrip(_NOT_SEEN).startswith(_STARTS_A_FORMULA)
    return f"'{cell}" if runs else cell
