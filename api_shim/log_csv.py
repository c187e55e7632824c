"""The log as CSV: its cells come from strangers, and somebody will open it in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter

from face_import.catalogue import LogEntry

_STARTS_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_TAKEN_OFF = ("\t", "\r", "\n")
"""A spreadsheet may take these off the start of a cell, and look at what is left."""
_NOT_SEEN = " \t\r\n\"'\u00a0\u200b\u2060\ufeff"
_OTHER_SEPARATORS = (";", "\t", "|")
_HARMLESS = re.compile(r"(?:\w[^;|\t\r\n]*\n)*").fullmatch
"""Lines of cells, as nearly all are: each begins with a letter or digit, and no spreadsheet splits it."""
_ROWS_AT_ONCE = 1000
_CELLS = attrgetter("uri", "code", "message")


def log_csv(entries: Iterable[LogEntry], *, raw: bool) -> Iterator[str]:
    """Lines of uri, code, message without a header, some at a time.

    Rows that are harmless together are written together: nothing of Python runs for each of them.

    Args:
        entries: failed rows.
        raw: leave cells that a spreadsheet would run as they are.
    """
    left = iter(entries)
    while rows := list(map(_CELLS, islice(left, _ROWS_AT_ONCE))):
        buffer = io.StringIO()
        if raw or _HARMLESS("".join([f"{uri}\n{message}\n" for uri, _, message in rows])):
            csv.writer(buffer).writerows(rows)
        else:
            _write_carefully(buffer, rows)
        yield buffer.getvalue()


def _write_carefully(buffer: io.StringIO, rows: Iterable[tuple[str, int, str]]) -> None:
    plain = csv.writer(buffer)
    # A spreadsheet of another country splits at semicolons, but not inside quotation marks.
    quoted = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    for uri, code, message in rows:
        writer = quoted if any(mark in uri or mark in message for mark in _OTHER_SEPARATORS) else plain
        writer.writerow((_neutral(uri), code, _neutral(message)))


def _neutral(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula: an apostrophe makes it text."""
    runs = cell.startswith(_TAKEN_OFF) or cell.lstrip(_NOT_SEEN).startswith(_STARTS_A_FORMULA)
    return f"'{cell}" if runs else cell
