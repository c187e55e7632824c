"""Workbooks through the process that reads them: what it streams, and what hostile ones may take of the machine."""

import csv
import io

import pytest

from face_import.errors import SourceError, SourceTooLarge
from face_import.sources import workbook
from face_import.sources.encoding import CHUNK_BYTES
from face_import.sources.workbook import Workbook
from tests.unit.sources.helpers import Dribble
from tests.workbooks import Part, by_hand, text_cell, workbook_of

ROWS = [[f"https://host/{n}.jpg", f"标签{n}", "two\nlines" if n % 1000 == 0 else "", str(n)] for n in range(10_000)]
BOUND = 2**30


def test_rows_come_in_chunks() -> None:
    """All rows of a stream of short reads, in pieces of bounded size, and the name of the sheet."""
    read = Workbook(Dribble(workbook_of(ROWS), 1000), BOUND)
    chunks = list(read)
    assert len(chunks) > 1
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
    assert list(csv.reader(io.StringIO(b"".join(chunks).decode(), newline=""))) == ROWS
    assert (read.sheet, read.others) == ("Sheet1", ())


def test_what_was_read_already_is_part_of_the_file() -> None:
    """To recognise a workbook, its first bytes had to be read."""
    stream = io.BytesIO(workbook_of([["a"]]))
    assert b"".join(Workbook(stream, BOUND, head=stream.read(4096))) == b"a\r\n"


def test_refusals_reach_the_reader() -> None:
    """The process's words are those of the error."""
    with pytest.raises(SourceError, match='no sheet "x"; it has "S"'):
        list(Workbook(io.BytesIO(by_hand(text_cell("a"))), BOUND, sheet="x"))


def test_the_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same limit as every source, and by that of workbooks."""
    data = workbook_of(ROWS)
    with pytest.raises(SourceTooLarge, match=f"larger than {len(data) - 1} bytes"):
        list(Workbook(io.BytesIO(data), len(data) - 1))
    monkeypatch.setattr(workbook, "MAX_WORKBOOK_BYTES", len(data) - 1)
    with pytest.raises(SourceError, match="save it as CSV UTF-8"):
        list(Workbook(io.BytesIO(data), BOUND))


def cells(*places: str) -> bytes:
    """A workbook with a number in each of these places."""
    rows = "".join(f'<row><c r="{place}"><v>1</v></c></row>' for place in places)
    return by_hand(f"<sheetData>{rows}</sheetData>")


def in_cells(*parts: Part) -> bytes:
    """A workbook whose sheet has these parts, each so many times."""
    return by_hand("", {"xl/worksheets/sheet1.xml": [("<worksheet><sheetData><row>", 1), *parts]})


def shared(count: int, *strings: Part) -> bytes:
    """A workbook with so many cells that have the first of the shared strings."""
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, count + 1))
    parts = [("<sst>", 1), *strings, ("</sst>", 1)]
    return by_hand(f"<sheetData>{rows}</sheetData>", {"xl/sharedStrings.xml": parts})


BOMBS = {
    "cells far apart": lambda: cells("A1", "XFD1048576"),
    "a long row and a long column": lambda: cells("A1", "A1048576", "XFD2"),
    "one text": lambda: in_cells(('<c t="str"><v>', 1), ("x", 800 * 2**20)),
    "a text a million times": lambda: shared(1_000_000, ("<si><t>", 1), ("x", 32_767), ("</t></si>", 1)),
    "shared texts": lambda: shared(1, ("<si><t>x</t></si>", 25_000_000)),
    "cells": lambda: in_cells(("<c><v>1</v></c>", 20_000_000), ("</row></sheetData></worksheet>", 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_the_process_only(name: str) -> None:
    """A small file that would take gigabytes is refused, in words, within the limits of the process that read it."""
    data = BOMBS[name]()
    assert len(data) < 16 * 2**20
    with pytest.raises(SourceError, match="save it as CSV UTF-8"):
        list(Workbook(io.BytesIO(data), BOUND))
