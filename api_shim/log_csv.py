"""The log as CSV, safe to open in a spreadsheet: its cells are untrusted."""

import csv
import io
import re
from collections.abc import Iterable, Iterator

from face_import.catalogue import LogPage
from face_import.domain.cells import NOT_SEEN, STARTS_A_FORMULA, TAKEN_OFF

_OTHER_SEPARATORS = (";", "\t", "|")
_ODD_STARTS = re.compile(r"\n\W"), re.compile(r",\W")  # one combined pattern takes four times as long
_HARMLESS = re.compile(r"(?:\w[^;|\t\r\n]*\n)*").fullmatch
"""Cells that need only CSV's own quoting: each starts with a letter or digit, and no spreadsheet splits it."""


def log_csv(pages: Iterable[LogPage], *, raw: bool) -> Iterator[str]:
    """Yield lines of uri, code, message without a header, a page at a time.

    A page of plain or harmless rows is written in one go, with almost no Python code per row.

    Args:
        pages: failed rows.
        raw: do not neutralise cells that a spreadsheet would run as formulas.
    """
    for page in filter(None, pages):
        lines = "".join([f"{uri},{code},{message}\r\n" for _, uri, code, message in page])
        yield lines if _plain(lines, len(page)) else _written(page, raw=raw)


def _plain(lines: str, rows: int) -> bool:
    """Whether `_written` would write exactly these lines, as is usual; decided by fast searches.

    There are no commas or line ends but the separators, nothing to quote or to split, and all cells start with a letter
    or digit.
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
    # In some locales, spreadsheets split at semicolons, but not inside quotation marks.
    quoted = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    for _, uri, code, message in page:
        writer = quoted if any(mark in uri or mark in message for mark in _OTHER_SEPARATORS) else plain
        writer.writerow((_neutral(uri), code, _neutral(message)))


def _neutral(cell: str) -> str:
    """Neutralise a formula: with a leading apostrophe, spreadsheets treat the cell as text."""
    runs = cell.startswith(TAKEN_OFF) or cell.lstrip(NOT_SEEN).startswith(STARTS_A_FORMULA)
    return f"'{cell}" if runs else cell
