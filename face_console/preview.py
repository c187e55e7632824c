"""A file as it is read, before anything of it is stored: its first rows, and every row that cannot be imported."""

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

SHOWN_PROBLEMS = 200
MOST_STRETCHES = 10_000
"""Bounds the page for a hostile file in which every other row is bad."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that cannot be imported: a key of `PROBLEMS`, and the offending text."""

    line: int
    row: int
    kind: str
    text: str


@dataclass(slots=True)
class Stretch:
    """Consecutive rows that cannot be imported, by the lines they start on; `row` is the number of the last."""

    first: int
    last: int
    row: int


@dataclass(slots=True)
class Preview:
    """A file as it was parsed.

    Attributes:
        table: its columns and its first rows.
        problems: rows that cannot be imported, the first `SHOWN_PROBLEMS`.
        others: where the others are, at most `MOST_STRETCHES`.
        problem_count: number of rows that cannot be imported.
        unlisted: number of these in neither `problems` nor `others`.
    """

    index: SourceIndex
    table: Table
    problems: list[Problem] = field(default_factory=list)
    others: list[Stretch] = field(default_factory=list)
    problem_count: int = 0
    unlisted: int = 0

    def add(self, problem: Problem) -> None:
        """Record a row that cannot be imported; rows come in file order."""
        self.problem_count += 1
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(problem)
        elif self.others and self.others[-1].row == problem.row - 1:
            self.others[-1].last, self.others[-1].row = problem.line, problem.row
        elif len(self.others) < MOST_STRETCHES:
            self.others.append(Stretch(problem.line, problem.line, problem.row))
        else:
            self.unlisted += 1


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
                seen.add(problem)
    return seen


def _first_records(file: BinaryIO, index: SourceIndex) -> list[list[str]]:
    """The first rows with all their cells; a `Row` has only those that are imported."""
    chunks = _range(file, index.blocks[0].start, index.size)
    feed = LineFeed(chunks, index.size, index.size, index.reading.separator, of_sheet=bool(index.reading.sheet))
    return [shortened(record) for record in islice(Records(feed), FIRST_ROWS)]


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


def _problem(row: Row) -> Problem | None:
    if row.problem:
        return Problem(row.line, row.number, "columns", row.problem)
    if not row.uri:
        return Problem(row.line, row.number, "no_uri", "")
    if flaw := flaw_of(row.uri):
        return Problem(row.line, row.number, flaw.name, cell(shown_uri(row.uri)))
    return None
