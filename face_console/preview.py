"""Preview of a file before anything is stored, by the same code that ingests it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from face_console.view import shown_uri
from face_import.domain.models import Block, Row, Shard, SourceIndex
from face_import.domain.uri import display, scheme_of
from face_import.sources import Bounds, ingest, read_rows
from face_import.sources.encoding import CHUNK_BYTES

FIRST_ROWS = 8
SHOWN_PROBLEMS = 200
SHOWN_CHARACTERS = 200
MOST_STRETCHES = 10_000
"""Bounds the page for a hostile file in which every other row is bad."""
SCHEMES = {"http", "https", "data"}


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
        first: its first rows.
        problems: rows that cannot be imported, the first `SHOWN_PROBLEMS`.
        others: where the others are, at most `MOST_STRETCHES`.
        problem_count: number of rows that cannot be imported.
        unlisted: number of these in neither `problems` nor `others`.
    """

    index: SourceIndex
    first: list[Row] = field(default_factory=list)
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


def preview(stream: BinaryIO, bounds: Bounds, folder: Path) -> Preview:
    """Read an upload once for its index and once for its rows, a block at a time.

    Args:
        stream: the upload.
        bounds: limits on the source.
        folder: where its UTF-8 copy is kept meanwhile, in an unnamed file.

    Raises:
        SourceError: it cannot be parsed.
        SourceTooLarge: it exceeds the bounds.
    """
    with TemporaryFile(dir=folder) as copy:
        sink = cast("BinaryIO", copy)
        seen = Preview(ingest(stream, sink, bounds))
        for row in _rows(sink, seen.index):
            if len(seen.first) < FIRST_ROWS:
                seen.first.append(row)
            if problem := _problem(row):
                seen.add(problem)
    return seen


def cell(text: str) -> str:
    """A cell as it is shown: abbreviated to a few lines at most."""
    shown = display(text)
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…"


def _rows(file: BinaryIO, index: SourceIndex) -> Iterator[Row]:
    for number, block in enumerate(index.blocks):
        shard = Shard(number, block.first_row, block.rows, block.start, block.end, block.line)
        yield from read_rows(_range(file, block), index.columns, shard)


def _range(file: BinaryIO, block: Block) -> Iterator[bytes]:
    file.seek(block.start)
    left = block.end - block.start
    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk


def _problem(row: Row) -> Problem | None:
    if row.problem:
        return Problem(row.line, row.number, "columns", row.problem)
    if not row.uri:
        return Problem(row.line, row.number, "no_uri", "")
    if (scheme := scheme_of(row.uri)) not in SCHEMES:
        return Problem(row.line, row.number, "scheme" if scheme else "no_scheme", cell(shown_uri(row.uri)))
    return None
