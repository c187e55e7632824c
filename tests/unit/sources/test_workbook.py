"""What a sheet becomes as CSV, and which files are refused; the process around it has tests in tests/integration."""

import csv
import datetime as dt
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_import.sources.workbook import is_workbook
from face_import.sources.workbook_reader import Refused, cell_text, convert
from tests.workbooks import archive, by_hand, text_cell, workbook_of, written

CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cs",), exclude_characters="\ufffe\uffff")
TEXTS = st.text(CHARACTERS.filter(lambda character: character >= " " or character in "\t\n"), max_size=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all tests of this module, as Hypothesis wants it."""
    return tmp_path_factory.mktemp("workbooks")


def csv_of(folder: Path, data: bytes, sheet: str = "") -> tuple[dict[str, Any], str]:
    """What is told of a workbook, and the CSV."""
    path, out = folder / "a file", io.BytesIO()
    path.write_bytes(data)
    convert(path, sheet, out)
    told, _, text = out.getvalue().partition(b"\n")
    return json.loads(told), text.decode()


def rows_of(folder: Path, data: bytes) -> list[list[str]]:
    """Its rows as our reader of CSV sees them."""
    return list(csv.reader(io.StringIO(csv_of(folder, data)[1], newline="")))


def trimmed(rows: list[list[str]]) -> list[list[str]]:
    """Without what has no value on the right, on the left and below."""
    left = min((row.index(next(filter(None, row))) for row in rows if any(row)), default=0)
    cut = ["\0".join(row[left:]).rstrip("\0") for row in rows]
    while cut and not cut[-1]:
        cut.pop()
    return [row.split("\0") if row else [] for row in cut]


@given(rows=st.lists(st.lists(TEXTS, max_size=4), min_size=1, max_size=5), inline=st.booleans())
def test_every_text_comes_back(folder: Path, rows: list[list[str]], inline: bool) -> None:
    """Any table of texts is the same through workbook and CSV, but for the empty cells around it."""
    if any(map(any, rows)):
        assert rows_of(folder, workbook_of(rows, inline=inline)) == trimmed(rows)


def test_lines_are_the_sheets_rows(folder: Path) -> None:
    """Blank rows are blank lines; columns left of the table and cells that only have a format are left out."""

    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(2, 1, ["uri", "tag"])
        sheet.write_row(4, 1, ["a,b"])
        sheet.write_blank(4, 9, None, book.add_format({"bold": True}))
        sheet.write_blank(99, 1, None, book.add_format({"bold": True}))

    assert csv_of(folder, written(fill))[1] == '\r\n\r\nuri,tag\r\n\r\n"a,b"\r\n'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(7.0, "7", id="whole"),
        pytest.param(-0.0, "0", id="minus nothing"),
        pytest.param(1.5, "1.5", id="fraction"),
        pytest.param(0.1 + 0.2, "0.3", id="15 digits"),
        pytest.param(123456789012345.0, "123456789012345", id="all digits of 15"),
        pytest.param(1e15, "1E+15", id="16 digits"),
        pytest.param(110101199003070000.0, "1.10101E+17", id="a Chinese identity number"),
        pytest.param(10**16, "1E+16", id="int"),
        pytest.param(0.00001, "1E-05", id="small"),
        pytest.param(True, "TRUE", id="boolean"),
        pytest.param(dt.date(2026, 1, 2), "2026-01-02", id="date"),
        pytest.param(dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05", id="date and time"),  # noqa: DTZ001
        pytest.param(dt.time(3, 4), "03:04:00", id="time"),
        pytest.param(dt.timedelta(hours=30, seconds=5), "30:00:05", id="duration"),
    ],
)
def test_values_that_are_not_text(value: object, text: str) -> None:
    """They are as Excel shows them; numbers whose digits it has lost can be told from others."""
    assert cell_text(value) == text


def test_cells_of_every_kind(folder: Path) -> None:
    """A number loses its format's zeros; errors, and what pictures in cells leave, are texts, so the row says why."""

    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        sheet.write_number(0, 0, 123, book.add_format({"num_format": "00000"}))
        sheet.write_datetime(0, 1, dt.date(2026, 1, 2), book.add_format({"num_format": "yyyy-mm-dd"}))
        sheet.write_boolean(0, 2, True)
        sheet.write_formula(1, 0, "=NA()", None, "#N/A")
        sheet.write_formula(1, 1, '=A1&"x"', None, "cached")
        sheet.write_formula(1, 2, '=_xlfn.DISPIMG("ID_1",1)', None, '=DISPIMG("ID_1",1)')
        sheet.write_rich_string(2, 0, "a", book.add_format({"bold": True}), "b", "c")
        sheet.write_string(2, 1, "_x000D_ and 女\U0001f600")
        sheet.write_string(3, 0, "x" * 32_767)
        sheet.write_formula(5, 2, "=1/0", None, "#DIV/0!")

    assert rows_of(folder, written(fill)) == [
        ["123", "2026-01-02", "TRUE"],
        ["#N/A", "cached", '=DISPIMG("ID_1",1)'],
        ["abc", "_x000D_ and 女\U0001f600"],
        ["x" * 32_767],
        [],
        ["", "", "#DIV/0!"],
    ]


def test_errors_among_many_cells(folder: Path) -> None:
    """They are found wherever a piece of the sheet's XML ends, and with a prefix, as .NET writes it."""
    rows = "".join(
        f'<row r="{n}"><c r="B{n}" t="e"><v>#REF!</v></c><c r="C{n}"><v>{n}</v></c></row>' for n in range(1, 50_001)
    )
    assert rows_of(folder, by_hand(f"<sheetData>{rows}</sheetData>")) == [["#REF!", str(n)] for n in range(1, 50_001)]
    prefixed = re.sub(r"<(/?)(?=[a-z])", r"<\1x:", f"<sheetData>{rows[:500].rpartition('<row')[0]}</sheetData>")
    sheet = prefixed.replace(
        "<x:sheetData", '<x:sheetData xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"', 1
    )
    assert rows_of(folder, by_hand(sheet))[0] == ["#REF!", "1"]


def test_line_ends_in_cells(folder: Path) -> None:
    """They are line feeds, however the file has them, so that only a row ends with CR LF."""
    assert csv_of(folder, by_hand(text_cell("a&#13;\nb&#13;c")))[1] == '"a\nb\nc"\r\n'


def three_sheets(book: Any) -> None:
    """One that is hidden, an empty one and one with a cell, and a chart."""
    book.add_worksheet("hidden").write(0, 0, "h")
    book.add_chartsheet("chart")
    book.add_worksheet("员工").write(0, 0, "a")
    book.add_worksheet("empty")
    book.get_worksheet_by_name("hidden").hide()
    book.get_worksheet_by_name("员工").activate()


@pytest.mark.parametrize(("asked", "read", "text"), [("", "员工", "a\r\n"), ("hidden", "hidden", "h\r\n")])
def test_a_sheet_is_chosen(folder: Path, asked: str, read: str, text: str) -> None:
    """The first one that is visible, or the one that was asked for; the others are named if none was."""
    told, csv_text = csv_of(folder, written(three_sheets), asked)
    assert (told["sheet"], csv_text) == (read, text)
    assert told["sheets"] == ["员工", "empty"]
    assert ('this is sheet "员工"; the workbook also has "empty"' in told["also"]) is not bool(asked)


PROTECTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le")
ENTITY = '<!DOCTYPE worksheet [<!ENTITY lol "expanded">]>'
WHOLE = workbook_of([["a", "b"]] * 500)


@pytest.mark.parametrize(
    ("data", "sheet", "words"),
    [
        pytest.param(written(three_sheets), "x", 'no sheet "x"; it has "hidden", "员工", "empty"', id="no such sheet"),
        pytest.param(written(three_sheets), "empty", 'sheet "empty" is empty; .*also has "员工", name', id="empty"),
        pytest.param(written(lambda book: book.add_worksheet("S")), "", 'sheet "S" is empty$', id="all empty"),
        pytest.param(PROTECTED, "", "protected by a password; save it without", id="protected"),
        pytest.param(
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "", "old workbook .* save it as .xlsx", id="xls"
        ),
        pytest.param(archive({"xl/workbook.bin": ""}), "", r"\.xlsb\); save it as", id="xlsb"),
        pytest.param(archive({"mimetype": "", "META-INF/manifest.xml": ""}), "", "OpenDocument", id="ods"),
        pytest.param(archive({"word/document.xml": ""}), "", "but a Word document", id="docx"),
        pytest.param(archive({"ppt/presentation.xml": ""}), "", "a PowerPoint", id="pptx"),
        pytest.param(archive({"faces.csv": "a"}), "", "a ZIP archive; unpack it", id="zip"),
        pytest.param(archive({}), "", "a ZIP archive; unpack it", id="zip of nothing"),
        pytest.param(WHOLE[: len(WHOLE) // 2], "", "is damaged", id="cut off"),
        pytest.param(WHOLE[:900] + bytes(500) + WHOLE[1400:], "", "is damaged", id="overwritten"),
        pytest.param(by_hand("<sheetData><row r="), "", "is damaged", id="XML cut off"),
        pytest.param(archive({"xl/workbook.xml": "<workbook/>"}), "", "is damaged", id="no root"),
        pytest.param(by_hand("", {"xl/workbook.xml": "<workbook/>"}), "", "no sheet with cells", id="no sheets"),
        pytest.param(
            by_hand("", {"xl/worksheets/sheet1.xml": f"{ENTITY}<worksheet>{text_cell('&lol;')}</worksheet>"}),
            "",
            "is damaged",
            id="an entity of its own",
        ),
    ],
)
def test_what_is_refused(folder: Path, data: bytes, sheet: str, words: str) -> None:
    """One line says what the file is, and what to do."""
    with pytest.raises(Refused, match=words) as caught:
        csv_of(folder, data, sheet)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "expected"),
    [(WHOLE[:4096], True), (PROTECTED[:4096], True), (b"uri,tag\r\n", False), (b"PK,tag\r\n", False), (b"", False)],
)
def test_first_bytes(head: bytes, expected: bool) -> None:
    """A text that begins with the letters PK is no archive."""
    assert is_workbook(head) is expected
