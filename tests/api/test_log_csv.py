"""The log as CSV: no cell of it runs, and nothing of it is lost."""

import csv
import io

import pytest

from api_shim.log_csv import log_csv
from face_import.catalogue import LogEntry

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
    return "".join(log_csv([LogEntry(1, uri, 101, message)], raw=raw))


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
    entries = [LogEntry(1, cell, 101, "m"), LogEntry(2, "http://host/b", 102, cell)]
    assert "".join(log_csv(entries, raw=raw)) == buffer.getvalue()


def test_nothing_is_lost_between_pieces() -> None:
    """Thousands of rows come in pieces, in order."""
    entries = [LogEntry(n, f"u{n}", 101, "m") for n in range(2500)]
    pieces = list(log_csv(entries, raw=False))
    assert len(pieces) == 3
    assert [row[0] for row in csv.reader(io.StringIO("".join(pieces)))] == [e.uri for e in entries]


def test_a_cell_among_thousands_does_not_slip_through() -> None:
    """Rows are looked at together, and one that is not harmless is found wherever it is."""
    cells = [f"u{n}" for n in range(2500)]
    cells[0], cells[999], cells[1000], cells[2499] = "=1", "a;=1", "@1", "\n=1"
    text = "".join(log_csv([LogEntry(n, cell, 101, "m") for n, cell in enumerate(cells)], raw=False))
    read = [row[0] for row in csv.reader(io.StringIO(text, newline=""))]
    assert [(n, cell) for n, cell in enumerate(read) if cell != f"u{n}"] == [
        (0, "'=1"),
        (999, "a;=1"),
        (1000, "'@1"),
        (2499, "'\n=1"),
    ]
    assert '"a;=1","101","m"' in text
