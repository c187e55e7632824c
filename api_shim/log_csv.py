"""The log as CSV: its cells come from strangers, and somebody will open it in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Iterator

from face_import.catalogue import LogEntry

_STARTS_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_TAKEN_OFF = ("\t", "\r", "\n")
"""A spreadsheet may take these off the start of a cell, and look at what is left."""
_NOT_SEEN = " \t\r\n\"'\u00a0\u200b\u2060\ufeff"
_OTHER_SEPARATORS = (";", "\t", "|")
_HARMLESS = re.compile(r"\w[^;|\t\r\n]*").fullmatch
"""Nearly every cell: it begins with a letter or digit, and no spreadsheet splits it. Looking closer takes longer."""
_ROWS_AT_ONCE = 1000


def log_csv(entries: Iterable[LogEntry], *, raw: bool) -> Iterator[str]:
    """Lines of uri, code, message without a header, some at a time.

    Args:
        entries: failed rows.
        raw: leave cells that a spreadsheet would run as they are.
    """
    buffer = io.StringIO()
    plain = csv.writer(buffer)
    # A spreadsheet of another country splits at semicolons, but not inside quotation marks.
    quoted = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    for number, entry in enumerate(entries, 1):
        uri, message = entry.uri, entry.message
        if raw or (_HARMLESS(uri) and _HARMLESS(message)):
            plain.writerow((uri, entry.code, message))
        else:
            writer = quoted if any(mark in uri or mark in message for mark in _OTHER_SEPARATORS) else plain
            writer.writerow((_neutral(uri), entry.code, _neutral(message)))
        if number % _ROWS_AT_ONCE == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _neutral(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula: an apostrophe makes it text."""
    runs = cell.startswith(_TAKEN_OFF) or cell.lstrip(_NOT_SEEN).startswith(_STARTS_A_FORMULA)
    return f"'{cell}" if runs else cell
