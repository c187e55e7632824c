"""The log as CSV: its cells come from strangers, and somebody will open it in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Iterator

from face_import.catalogue import LogPage

_STARTS_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_TAKEN_OFF = ("\t", "\r", "\n")
"""A spreadsheet may take these off the start of a cell, and look at what is left."""
_NOT_SEEN = " \t\r\n\"'\u00a0\u200b\u2060\ufeff"
_OTHER_SEPARATORS = (";", "\t", "|")
_ODD_STARTS = re.compile(r"\n\W"), re.compile(r",\W")  # as one pattern they take four times as long
_HARMLESS = re.compile(r"(?:\w[^;|\t\r\n]*\n)*").fullmatch
"""Cells that lack only CSV's own quoting: each begins with a letter or digit, and no spreadsheet splits it."""


def log_csv(pages: Iterable[LogPage], *, raw: bool) -> Iterator[str]:
    """Lines of uri, code, message without a header, a page at a time.

    A page of plain or harmless rows is written as one: next to nothing of Python runs for each of them.

    Args:
        pages: failed rows.
        raw: leave cells that a spreadsheet would run as they are.
    """
    for page in filter(None, pages):
        lines = "".join([f"{uri},{code},{message}\r\n" for _, uri, code, message in page])
        yield lines if _plain(lines, len(page)) else _written(page, raw=raw)


def _plain(lines: str, rows: int) -> bool:
    """Whether these lines are as `_written` would write them, as nearly all are; found by searches that take no time.

    Commas and ends of lines are those that were put there and no others, there is nothing to quote or to split, and all
    cells begin with a letter or digit.
    """
    return (
        lines.count(",") == 2 * rows
        and lines.count("\r") == lines.count("\n") == rows
        and not any(mark in lines for mark in ('"', *_OTHER_SEPARATORS))
        and not any(odd.search("\n" + lines) for odd in _ODD_STARTS)
    )


def _written(page: LogPage, *, raw: bool) -> str:
    buffer = io.StringIO()
    cells = "".join([f"{uri}\n{message}\n" for _, uri, _, message in page])
    if raw or (cells.count("\n") == 2 * len(page) and _HARMLESS(cells)):
        csv.writer(buffer).writerows(row[1:] for row in page)
    else:
        _write_carefully(buffer, page)
    return buffer.getvalue()


def _write_carefully(buffer: io.StringIO, page: LogPage) -> None:
    plain = csv.writer(buffer)
    # A spreadsheet of another country splits at semicolons, but not inside quotation marks.
    quoted = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    for _, uri, code, message in page:
        writer = quoted if any(mark in uri or mark in message for mark in _OTHER_SEPARATORS) else plain
        writer.writerow((_neutral(uri), code, _neutral(message)))


def _neutral(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula: an apostrophe makes it text."""
    runs = cell.startswith(_TAKEN_OFF) or cell.lstrip(_NOT_SEEN).startswith(_STARTS_A_FORMULA)
    return f"'{cell}" if runs else cell
