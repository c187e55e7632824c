"""Workbooks through the process that reads them: what it streams, and what hostile ones may take of the machine."""

import csv
import io
from collections.abc import Callable
from itertools import pairwise

import psutil
import pytest

from face_import.errors import Busy, SourceError, SourceTooLarge
from face_import.sources import workbook
from face_import.sources.encoding import CHUNK_BYTES
from face_import.sources.workbook import Started, Workbook
from tests.unit.sources.helpers import Dribble
from tests.workbooks import Part, by_hand, text_cell, workbook_of

ROWS = [[f"https://host/{n}.jpg", f"标签{n}", "two\nlines" if n % 1000 == 0 else "", str(n)] for n in range(10_000)]
BOUND = 2**30


def test_rows_come_in_chunks() -> None:
    """All rows of a stream of short reads, in pieces of bounded size, and the name of the sheet."""
    read = Workbook(Started(Dribble(workbook_of(ROWS), 1000)), BOUND)
    chunks = list(read)
    assert len(chunks) > 1
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
    assert list(csv.reader(io.StringIO(b"".join(chunks).decode(), newline=""))) == ROWS
    assert (read.sheet, read.sheets) == ("Sheet1", ())


def test_refusals_reach_the_reader() -> None:
    """The process's words are those of the error."""
    with pytest.raises(SourceError, match='no sheet "x"; it has "S"'):
        list(Workbook(Started(io.BytesIO(by_hand(text_cell("a")))), BOUND, sheet="x"))


def test_the_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same limit as every source, and by that of workbooks."""
    data = workbook_of(ROWS)
    with pytest.raises(SourceTooLarge, match=f"larger than {len(data) - 1} bytes"):
        list(Workbook(Started(io.BytesIO(data)), len(data) - 1))
    monkeypatch.setattr(workbook, "MAX_WORKBOOK_BYTES", len(data) - 1)
    with pytest.raises(SourceError, match="save it as CSV UTF-8"):
        list(Workbook(Started(io.BytesIO(data)), BOUND))


def test_the_csv_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may be a large table; the process that writes it stops."""
    data = shared(10_000, ("<si><t>", 1), ("x", 1000), ("</t></si>", 1))
    assert len(data) < 100_000
    with pytest.raises(SourceTooLarge, match="the sheet is larger than 5000000 bytes as CSV"):
        list(Workbook(Started(io.BytesIO(data)), 5_000_000))
    monkeypatch.setattr(workbook, "MAX_CSV_BYTES", 4_000_000)
    with pytest.raises(SourceTooLarge, match="larger than 4000000 bytes"):
        list(Workbook(Started(io.BytesIO(data)), BOUND))


def test_a_full_disk_is_not_the_workbooks_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of the system, which is worth another try."""
    monkeypatch.setattr(workbook, "TemporaryFile", lambda: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115, PTH123
    with pytest.raises(OSError, match="No space left"):
        list(Workbook(Started(io.BytesIO(workbook_of([["a"]]))), BOUND))


@pytest.mark.parametrize("name", ["CPU_SECONDS", "WALL_SECONDS"])
def test_time_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the processor, and of the clock; the next workbook is read, and no process is left."""
    before = psutil.Process().children()
    monkeypatch.setattr(workbook, name, 0.001 if name == "WALL_SECONDS" else 1)
    slow = in_cells(("<c><v>1</v></c>", 20_000_000), ("</row></sheetData></worksheet>", 1))
    with pytest.raises(SourceError, match="save it as CSV UTF-8"):
        list(Workbook(Started(io.BytesIO(slow)), BOUND))
    monkeypatch.undo()
    assert list(Workbook(Started(io.BytesIO(workbook_of([["a"]]))), BOUND)) == [b"a\r\n"]
    assert psutil.Process().children() == before


def test_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """While another workbook takes all its time, this one is refused for now."""
    monkeypatch.setattr(workbook, "CPU_SECONDS", 0)
    with workbook._turn, pytest.raises(Busy, match="other workbooks are being read"):
        list(Workbook(Started(io.BytesIO(workbook_of([["a"]]))), BOUND))


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
        list(Workbook(Started(io.BytesIO(data)), BOUND))


ENTITIES = "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise("abcdefghij"))
DECLARED = f'<!DOCTYPE worksheet [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]>'


def with_lying_size() -> bytes:
    """An archive whose directory says that the sheet has ten bytes."""
    data = bytearray(in_cells(("<c><v>1</v></c>", 100_000), ("</row></sheetData></worksheet>", 1)))
    entry = data.rfind(b"PK\x01\x02", 0, data.rfind(b"xl/worksheets/sheet1.xml"))
    data[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(with_lying_size, id="lying size"),
        pytest.param(
            lambda: by_hand("", {"xl/worksheets/sheet1.xml": f"{DECLARED}<worksheet>{text_cell('&j;')}</worksheet>"}),
            id="entities of entities",
        ),
    ],
)
def test_inconsistent_files_are_damaged(make: Callable[[], bytes]) -> None:
    """They are refused at once."""
    with pytest.raises(SourceError, match="the workbook is damaged"):
        list(Workbook(Started(io.BytesIO(make())), BOUND))


def test_many_entries_are_no_harm() -> None:
    """A hundred thousand pictures beside the sheet."""
    data = by_hand(text_cell("a"), {f"xl/media/{n}.png": "x" for n in range(100_000)})
    assert list(Workbook(Started(io.BytesIO(data)), BOUND)) == [b"a\r\n"]
