"""The log as CSV: no cell of it runs, and nothing of it is lost."""

import csv
import io

import pytest

from api_shim.log_csv import log_csv
from face_import.catalogue import LogPage

RUN = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\tplain",
    " =1",
    '"=1',
    "\"'=1",
    "\ufeff=1",
    "\u200b\u00a0=1",
    "＝1",
    "＋1",
    "－1",
    "＠1",
    '=HYPERLINK("http://evil.example","a\nb")',
    "=1;2",
]
LEFT = ["http://host/a=b+c-d@e", "a=1", "1-2", "data:,x", "", "'a", "女", 'say "=1"']


def lines(uri: str, *, raw: bool = False, message: str = "m") -> str:
    """The file of one row."""
    return "".join(log_csv([[(1, uri, 101, message)]], raw=raw))


@pytest.mark.parametrize("cell", RUN, ids=ascii)
def test_a_cell_that_would_run_becomes_text(cell: str) -> None:
    """In either column, it is the same text behind an apostrophe."""
    read = list(csv.reader(io.StringIO(lines(cell, message=cell), newline="")))
    assert read == [[f"'{cell}", "101", f"'{cell}"]]


@pytest.mark.parametrize("cell", LEFT, ids=ascii)
def test_other_cells_are_left_alone(cell: str) -> None:
    """What no spreadsheet runs stays as it is."""
    assert list(csv.reader(io.StringIO(lines(cell)))) == [[cell, "101", "m"]]


@pytest.mark.parametrize("cell", RUN + LEFT, ids=ascii)
def test_raw_leaves_every_cell(cell: str) -> None:
    """Whoever asks for it gets what stands in the ledger."""
    assert list(csv.reader(io.StringIO(lines(cell, raw=True), newline=""))) == [[cell, "101", "m"]]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_no_cell_begins_behind_another_separator(separator: str) -> None:
    """A spreadsheet that splits at semicolons sees quotation marks around them, and does not split."""
    text = lines(f"http://host/a{separator}=1+1{separator}b")
    assert text == f'"http://host/a{separator}=1+1{separator}b","101","m"\r\n'


@pytest.mark.parametrize("cell", ["http://host", "a b", "a,b", 'a"b', 'a",b', "a\r\nb", "a\nb", " a", "女"], ids=ascii)
@pytest.mark.parametrize("raw", [False, True], ids=["neutral", "raw"])
def test_lines_are_those_of_the_csv_module(cell: str, raw: bool) -> None:
    """However lines are written, among others or alone, they are quoted as `csv` quotes them."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([(cell, 101, "m"), ("http://host/b", 102, cell)])
    page: LogPage = [(1, cell, 101, "m"), (2, "http://host/b", 102, cell)]
    assert "".join(log_csv([page], raw=raw)) == buffer.getvalue()


def test_nothing_is_lost_between_pages() -> None:
    """A log comes page by page, in order, and an empty page does not end it."""
    rows: LogPage = [(n, f"u{n}", 101, "m") for n in range(25)]
    pieces = list(log_csv([rows[:10], rows[10:20], [], rows[20:]], raw=False))
    assert all(pieces), "a server may take an empty piece for the end"
    assert [row[0] for row in csv.reader(io.StringIO("".join(pieces)))] == [uri for _, uri, _, _ in rows]


@pytest.mark.parametrize("place", [0, 999, 1999])
@pytest.mark.parametrize(
    ("cell", "written"), [("=1", "'=1"), ("a;=1", "a;=1"), ("\n=1", "'\n=1"), ("a\r\n=1", "a\r\n=1"), ("a,=1", "a,=1")]
)
@pytest.mark.parametrize("column", ["uri", "message"])
def test_a_cell_among_thousands_does_not_slip_through(cell: str, written: str, place: int, column: str) -> None:
    """Rows are looked at together, and one that is not harmless is found wherever it is."""
    page: LogPage = [(n, f"u{n}", 101, f"m{n}") for n in range(2000)]
    page[place] = (place, cell, 101, f"m{place}") if column == "uri" else (place, f"u{place}", 101, cell)
    text = "".join(log_csv([page], raw=False))
    read = list(csv.reader(io.StringIO(text, newline="")))
    expected = [[f"u{n}", "101", f"m{n}"] for n in range(2000)]
    expected[place][0 if column == "uri" else 2] = written
    assert read == expected
    assert (f'"{cell}"' in text) is any(mark in cell for mark in ";,\r")
