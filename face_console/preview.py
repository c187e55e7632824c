"""A file as it is read, before anything of it is stored: its first rows, and which rows cannot be imported, and why."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from face_console.columns import FIRST_ROWS, Table, cell, shortened, table_of
from face_console.view import shown_uri
from face_import.domain.models import Row, Shard, SourceIndex
from face_import.domain.reading import AS_FOUND, ReadingOptions
from face_import.domain.uri_form import flaw_of
from face_import.sources import Bounds, ingest, read_rows
from face_import.sources.encoding import CHUNK_BYTES
from face_import.sources.records import LineFeed, Records

EXAMPLES = 5
MOST_STRETCHES = 1000
"""Of each problem; bounds the page for a hostile file in which every other row is bad."""


@dataclass(slots=True)
class Stretch:
    """Consecutive rows with the same problem, by the lines they start on; `row` is the number of the last."""

    first: int
    last: int
    row: int


@dataclass(slots=True)
class Problem:
    """Rows that cannot be imported for the same reason.

    Attributes:
        rows: their number.
        stretches: where they are, the first `MOST_STRETCHES`.
        unlisted: number of rows in none of them.
        examples: offending texts by the first line with each, at most `EXAMPLES`.
    """

    rows: int = 0
    stretches: list[Stretch] = field(default_factory=list)
    unlisted: int = 0
    examples: dict[str, int] = field(default_factory=dict)

    def add(self, row: Row, text: str) -> None:
        """Count a row; they come in file order."""
        self.rows += 1
        if text and len(self.examples) < EXAMPLES:
            self.examples.setdefault(text, row.line)
        if self.stretches and self.stretches[-1].row == row.number - 1:
            self.stretches[-1].last, self.stretches[-1].row = row.line, row.number
        elif len(self.stretches) < MOST_STRETCHES:
            self.stretches.append(Stretch(row.line, row.line, row.number))
        else:
            self.unlisted += 1


@dataclass(slots=True)
class Preview:
    """A file as it was parsed.

    Attributes:
        table: its columns and its first rows.
        problems: its rows that cannot be imported, by a key of `PROBLEMS`.
    """

    index: SourceIndex
    table: Table
    problems: dict[str, Problem] = field(default_factory=dict)

    @property
    def refused(self) -> int:
        """Number of rows that cannot be imported."""
        return sum(problem.rows for problem in self.problems.values())


def preview(stream: BinaryIO, bounds: Bounds, folder: Path, options: ReadingOptions = AS_FOUND) -> Preview:
    """Read an upload once for its index and once for its rows, a block at a time; its first rows once more.

    Args:
        stream: the upload.
        bounds: limits on the source.
        folder: where its UTF-8 copy is kept meanwhile, in an unnamed file.
        options: what the form says about the file.

    Raises:
        Ambiguous: it has to be said which column is which.
        SourceError: it cannot be parsed.
        SourceTooLarge: it exceeds the bounds.
    """
    with TemporaryFile(dir=folder) as copy:
        sink = cast("BinaryIO", copy)
        index = ingest(stream, sink, bounds, options)
        seen = Preview(index, table_of(index.reading, _first_records(sink, index)))
        for row in _rows(sink, seen.index):
            if problem := _problem(row):
                kind, text = problem
                seen.problems.setdefault(kind, Problem()).add(row, text)
    return seen


def _first_records(file: BinaryIO, index: SourceIndex) -> list[list[str]]:
    """The first rows with all their cells; a `Row` has only those that are imported."""
    chunks = _range(file, index.blocks[0].start, index.size)
    feed = LineFeed(chunks, index.size, index.size, index.reading.separator, of_sheet=bool(index.reading.sheet))
    return [shortened(index.reading.own(record)) for record in islice(Records(feed), FIRST_ROWS)]


def _rows(file: BinaryIO, index: SourceIndex) -> Iterator[Row]:
    for number, block in enumerate(index.blocks):
        shard = Shard(number, block.first_row, block.rows, block.start, block.end, block.line)
        yield from read_rows(_range(file, block.start, block.end), index.reading, shard)


def _range(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    file.seek(start)
    left = end - start
    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk


def _problem(row: Row) -> tuple[str, str] | None:
    """Why a row cannot be imported, a key of `PROBLEMS`, and the offending text."""
    if row.problem:
        return "columns", row.problem
    if not row.uri:
        return "no_uri", ""
    if flaw := flaw_of(row.uri):
        return flaw.name, cell(shown_uri(row.uri))
    return None
