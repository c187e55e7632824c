"""Workbooks taken in as sources: their cells as rows, where a message points, and which sheet is read."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_import.domain.cells import guarded
from face_import.domain.reading import RESULT_COLUMNS, ReadingOptions
from face_import.errors import Ambiguous, SourceError
from face_import.sources import Bounds, StoredSource
from face_import.sources.records import unwrapped
from face_import.sources.storage import dump_index, load_index
from tests.unit.sources.helpers import all_rows, taken_in
from tests.workbooks import archive, workbook_of, written

URL = "https://host/a.jpg"
CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cs",), exclude_characters="\ufffe\uffff")
TEXTS = st.text(CHARACTERS.filter(lambda character: character >= " " or character in "\t\n"), max_size=9)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_every_cell_comes_back(rows: list[tuple[str, str]]) -> None:
    """Any text of a sheet is the row's, with line ends, quotation marks, separators and the row's number."""
    table = [["tag\nof the person", "", "uri", "description"], *([tag, "", URL, words] for tag, words in rows)]
    options = ReadingOptions(columns={"tag": 1})
    assert [(row.line, row.uri, row.tag, row.description) for row in all_rows(workbook_of(table), options)] == [
        (line, URL, unwrapped(tag), unwrapped(words)) for line, (tag, words) in enumerate(rows, 2)
    ]


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_results_that_were_saved_as_a_workbook_have_every_cell(rows: list[tuple[str, str]]) -> None:
    """A spreadsheet may be used to correct some: the others stay as they were, guarded or not."""
    added = [str(number) for number in range(len(RESULT_COLUMNS))]
    table = [
        ["uri", "note\nof (us)", "tag", *RESULT_COLUMNS],
        *([URL, guarded(a), guarded(b), *added] for a, b in rows),
    ]
    index, stored = taken_in(workbook_of(table))
    source = StoredSource(index, io.BytesIO(stored))
    assert source.titles() == ["uri", "note\nof (us)", "tag"]
    (records,) = source.batches(range(1, len(rows) + 1))
    assert records == [(line, [URL, *cells]) for line, cells in enumerate(rows, 2)]


def test_the_reading_says_that_it_is_a_workbook() -> None:
    """The sheet, no encoding, commas; and what is stored is CSV."""
    index, stored = taken_in(workbook_of([["uri", "tag"], [URL, "a,b"]]))
    assert load_index(dump_index(index)) == index
    described = index.reading.described()
    assert (described["encoding"], described["separator"], described["sheet"]) == (None, ",", "Sheet1")
    assert list(csv.reader(io.StringIO(stored.decode()))) == [["uri", "tag"], [URL, "a,b"]]


def test_messages_name_the_sheets_row() -> None:
    """Rows above with line ends in cells, and blank ones, count as in the sheet."""
    table = [["uri", "tag\n(name)", "id"], [], [URL, "x\ny", "1"], [URL, "b", "1.10101E+17"], [URL, "", "", "more"]]
    rows = all_rows(workbook_of(table))
    assert [row.line for row in rows] == [3, 4, 5]
    assert rows[1].problem.endswith("(row 4 of the sheet)")
    assert rows[2].problem.endswith("(row 5 of the sheet)")
    assert rows[0].place == "row 3 of the sheet"


def test_a_cell_of_half_a_megabyte_of_lines() -> None:
    """Where a record is longer than what is read at a time, line ends within it end no row."""
    long = "line\n" * 6500
    table = [["uri", "tag", *["notes"] * 13], *([URL, "", "", *[long] * 12] for _ in range(4)), [URL, "last"]]
    rows = all_rows(workbook_of(table), ReadingOptions(columns={"description": None}))
    assert [row.line for row in rows] == [2, 3, 4, 5, 6]


def test_a_cell_that_is_too_long() -> None:
    """It is found in a record of several lines, too, and the sheet's row named."""
    table = [["uri", "tag"], [URL, "a\nb"], [URL, f"c\n{'x' * 2000}\nd"]]
    with pytest.raises(SourceError, match="row 3 of the sheet: a cell of more than 1024 characters"):
        taken_in(workbook_of(table), Bounds(source_bytes=2**20, cell_bytes=1024))


def test_a_declaration_of_the_separator_is_only_text() -> None:
    """A first row `sep=;` is what is left of a CSV file: no row, and it declares nothing."""
    index, _ = taken_in(workbook_of([["sep=;"], [URL, "tag"], [URL, "tag"]]))
    assert (index.reading.separator, index.rows) == (",", 2)


def two_sheets(book: Any) -> None:
    """A cover sheet, and one with a table."""
    book.add_worksheet("说明").write_row(0, 0, ["Please fill in", "sheet 2"])
    book.add_worksheet("员工").write_row(0, 0, [URL, "tag"])


def test_other_sheets_are_named() -> None:
    """Where the first one was taken: beside its reading, and where it has no table, in the refusal."""
    with pytest.raises(SourceError, match='this is sheet "说明"; the workbook also has "员工", name the one') as caught:
        taken_in(written(two_sheets))
    assert "\n" not in str(caught.value)
    assert (caught.value.sheet, caught.value.sheets) == ("说明", ("说明", "员工"))
    index, _ = taken_in(written(two_sheets), options=ReadingOptions(sheet="员工"))
    assert (index.rows, index.reading.sheet, index.reading.sheets) == (1, "员工", ("说明", "员工"))


def test_the_first_sheet_is_taken() -> None:
    """With the names of all that could have been."""

    def fill(book: Any) -> None:
        book.add_worksheet("a").write_row(0, 0, [URL, "tag"])
        book.add_worksheet("b")

    assert taken_in(written(fill))[0].reading.described()["sheets"] == ["a", "b"]


def test_an_ambiguity_can_be_settled() -> None:
    """As in a CSV file, and it names the other sheets in what the console shows."""

    def fill(book: Any) -> None:
        sheet = book.add_worksheet("a")
        sheet.write_row(0, 0, ["uri", "url"])
        sheet.write_row(1, 0, [URL, URL])
        book.add_worksheet("b")

    with pytest.raises(Ambiguous) as caught:
        taken_in(written(fill))
    assert caught.value.problem.endswith('the workbook also has "b", name the one to read as its sheet')
    assert caught.value.titles == ["uri", "url"]
    assert taken_in(written(fill), options=ReadingOptions(columns={"uri": "url"}))[0].rows == 1


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (f"{URL},tag\n".encode(), ReadingOptions(sheet="a"), "sheet: a CSV file has no sheets"),
        (workbook_of([[URL]]), ReadingOptions(encoding="gbk"), "encoding: a workbook has no encoding"),
        (workbook_of([[URL]]), ReadingOptions(separator=","), "separator: a workbook has no separator"),
        (archive({"faces.csv": URL}), ReadingOptions(), "a ZIP archive; unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), ReadingOptions(), "save it as .xlsx or CSV"),
        (workbook_of([["uri"]]), ReadingOptions(), "no rows below its header"),
    ],
)
def test_what_is_refused(data: bytes, options: ReadingOptions, words: str) -> None:
    """Options that make no sense for the kind of file, and other kinds of files."""
    with pytest.raises(SourceError, match=words):
        taken_in(data, options=options)
