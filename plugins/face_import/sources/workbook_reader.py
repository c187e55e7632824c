"""The program of the process in which `workbook` has a workbook read: it writes one sheet as CSV.

It imports nothing of ours, so that it starts in a twentieth of a second, and runs under limits, because calamine keeps
a whole sheet in memory, as a rectangle of all cells up to the last one: a file of two kilobytes with cells in A1 and
XFD1048576 makes it ask for 550 GB, and Rust ends a process that cannot have them.

Its answer is a line of JSON, with `sheet`, `sheets` and `also` or with `error`, and then the CSV. Its exit status is 0,
or an `errno` of the disk.
"""

import csv
import datetime as dt
import errno
import io
import json
import os
import re
import resource
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum
from python_calamine import SheetVisibleEnum as Visibility

MEMORY_BYTES = 1536 * 2**20

_SAVE_AGAIN = "open it in Excel or WPS, and save it again as .xlsx or as CSV"
_DAMAGED = f"the workbook is damaged; {_SAVE_AGAIN}"
_CUT_OFF = f"the workbook, or ZIP archive, is damaged; {_SAVE_AGAIN}"
_PROTECTED = "the workbook is protected by a password; save it without one, or as CSV"
_OLD = "an old workbook or another old Microsoft Office file; save it as .xlsx or CSV"
_NOT_A_WORKBOOK = "this is neither a CSV file nor an Excel workbook but"
_KINDS = {
    "xl/workbook.bin": "a binary workbook (.xlsb); save it as .xlsx or CSV",
    "xl/": "",
    "word/": "a Word document",
    "ppt/": "a PowerPoint presentation",
    "meta-inf/manifest.xml": "an OpenDocument file or a Java archive; save a spreadsheet as .xlsx or CSV",
    "index/document.iwa": "a Numbers document; export it as .xlsx or CSV",
}
_MOST_NAMES = 20
_MOST_SHEETS, _MOST_CHARACTERS = 100, 255
"""Of the sheets that can be chosen: Excel's names have up to 31 characters."""
_EXACT = 1e15
"""From here on Excel itself has lost digits: it keeps 15."""
_PART_BYTES = 2**20
_ERROR_CELL = re.compile(rb'<(?:\w+:)?c\s([^>/]*\bt="e"[^>/]*)>.*?<(?:\w+:)?v>([^<]*)<', re.DOTALL)
_OF_THE_DISK = {errno.EFBIG, errno.ENOSPC, errno.EDQUOT, errno.EIO}
_PLACE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')


class Refused(Exception):
    """The file cannot be read; the text is for the person who sent it."""


def convert(path: Path, sheet: str, out: BinaryIO) -> None:
    """Write a sheet's rows as CSV in UTF-8, after a line of JSON that says which sheet it is.

    Rows above the first one with a value become blank lines, and line ends in cells become LF, which is Excel's own:
    counted by CR LF, a line of the CSV has the number of the sheet's row. Columns left of the first one with a value,
    cells right of a row's last value and rows below the last value are left out.

    Args:
        path: the file.
        sheet: name of the sheet; if empty, the first one that is visible.
        out: receives line and CSV.

    Raises:
        Refused: it is not a workbook, or damaged, protected, empty, or has no such sheet.
    """
    try:
        _check_kind(path)
        with CalamineWorkbook.from_path(path) as workbook:
            name, visible = _choose(workbook, sheet)
            cells = workbook.get_sheet_by_name(name)
    except PasswordError:
        raise Refused(_PROTECTED) from None
    except (BadZipFile, CalamineError):
        raise Refused(_DAMAGED) from None
    others = [other for other in visible if other != name]
    also = f"; the workbook also has {_listed(others)}, name the one to read as its sheet" if others else ""
    if cells.start is None:
        raise Refused(f"sheet {_shown(name)} is empty{also}")
    errors = dict[int, dict[int, str]]()
    with suppress(KeyError, ValueError, ET.ParseError):  # not where Excel and all we know have them
        errors = _error_cells(path, name)
    names = [other for other in visible if len(other) <= _MOST_CHARACTERS][:_MOST_SHEETS]
    asks = others and not sheet
    told = {
        "sheet": name,
        "sheets": names if others else [],
        "also": f"; this is sheet {_shown(name)}{also}" if asks else "",
    }
    out.write(json.dumps(told).encode() + b"\n")
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    csv.writer(text).writerows(_rows(cells, cells.start[1], errors))
    text.detach()


def _check_kind(path: Path) -> None:
    with path.open("rb") as file:
        if not file.read(4).startswith(b"PK"):
            file.seek(0)
            raise Refused(_PROTECTED if "EncryptedPackage".encode("utf-16-le") in file.read() else f"this is {_OLD}")
    try:
        with ZipFile(path) as archive:
            names = {name.replace("\\", "/").lower() for name in archive.namelist()}
    except BadZipFile:
        raise Refused(_CUT_OFF) from None
    other = "a ZIP archive; unpack it, and send the file that is in it"
    kind = next((kind for start, kind in _KINDS.items() if any(name.startswith(start) for name in names)), other)
    if kind:
        raise Refused(f"{_NOT_A_WORKBOOK} {kind}")


def _choose(workbook: CalamineWorkbook, asked: str) -> tuple[str, list[str]]:
    """Name of the sheet to read, and those of the visible ones."""
    sheets = [entry for entry in workbook.sheets_metadata if entry.typ == SheetTypeEnum.WorkSheet]
    visible = [entry.name for entry in sheets if entry.visible == Visibility.Visible]
    names = [entry.name for entry in sheets]
    if not names:
        raise Refused("the workbook has no sheet with cells")
    if asked and asked not in names:
        raise Refused(f"the workbook has no sheet {_shown(asked)}; it has {_listed(names)}")
    return asked or (visible or names)[0], visible


def _shown(name: str) -> str:
    return json.dumps(" ".join(name.split())[:40], ensure_ascii=False)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(map(_shown, names[:_MOST_NAMES])) + more


def _rows(cells: CalamineSheet, first_column: int, errors: dict[int, dict[int, str]]) -> Iterator[list[str]]:
    for number, row in enumerate(cells.iter_rows()):
        texts = [_with_feeds(cell) if type(cell) is str else cell_text(cell) for cell in row]
        for column, text in errors.get(number, {}).items():
            texts[column - first_column] = text
        while texts and not texts[-1]:
            texts.pop()
        yield texts


def _with_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def cell_text(cell: object) -> str:
    """A value that is not text, as Excel would show it in a wide column.

    Numbers have up to 15 digits. From 1e15 on, where Excel has lost the other ones, they are in scientific notation as
    in Excel's cells (1.10101E+17), which nobody takes for the number that was typed in.
    """
    match cell:
        case bool():
            return "TRUE" if cell else "FALSE"
        case int() | float():
            if abs(cell) < _EXACT:
                return f"{cell + 0.0:.15g}".upper()
            digits, exponent = f"{cell:.5E}".split("E")
            return f"{digits.rstrip('0').rstrip('.')}E{exponent}"
        case dt.date() | dt.time():
            return cell.isoformat()
        case dt.timedelta():
            minutes, seconds = divmod(round(cell.total_seconds()), 60)
            return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return str(cell)


def _error_cells(path: Path, sheet: str) -> dict[int, dict[int, str]]:
    """Texts of the cells with errors by row and column, both from 0: calamine's Python package has them empty.

    `#VALUE!` is also what a picture in a cell leaves for programs that do not know of such.
    """
    found: dict[int, dict[int, str]] = {}
    with ZipFile(path) as archive, archive.open(_part(archive, sheet)) as part:
        for cells in _whole_cells(iter(lambda: part.read(_PART_BYTES), b"")):
            if b't="e"' not in cells:
                continue
            for attributes, text in _ERROR_CELL.findall(cells):
                if place := _PLACE.search(attributes):
                    found.setdefault(int(place[2]) - 1, {})[_column(place[1])] = text.decode()
    return found


def _part(archive: ZipFile, sheet: str) -> str:
    """The archive's file that has a sheet's cells."""
    entries = ET.fromstring(archive.read("xl/workbook.xml")).iterfind(".//{*}sheet")  # noqa: S314 - within our limits
    (identity,) = (
        value for entry in entries if entry.get("name") == sheet for key, value in entry.items() if key.endswith("}id")
    )
    links = ET.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    (target,) = (link.attrib["Target"] for link in links if link.get("Id") == identity)
    return target[1:] if target.startswith("/") else f"xl/{target}"


def _whole_cells(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        joined = rest + chunk
        cut = joined.rfind(b"c>") + 2
        yield joined[:cut]
        rest = joined[cut:]
    yield rest


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1


def main(sheet: str, max_bytes: int, cpu_seconds: int) -> None:
    """Convert the file at standard input to standard output, within the limits."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # where Rust writes of a panic
    out = sys.stdout.buffer
    try:
        convert(Path("/dev/stdin"), sheet, out)
        out.flush()
    except Refused as refused:
        error = str(refused)
    except MemoryError:
        os.abort()  # as Rust does for want of memory
    except BaseException as other:  # noqa: BLE001 - a panic of calamine is none of the Exceptions
        if isinstance(other, OSError) and other.errno in _OF_THE_DISK:
            os._exit(other.errno)
        error = _DAMAGED
    else:
        return
    out.flush()
    out.seek(0)
    out.truncate()
    out.write(json.dumps({"error": error}).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
