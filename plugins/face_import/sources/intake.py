"""Ingesting a CSV file in one pass: validated, stored as UTF-8, indexed by blocks; and reading a shard's rows back."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import BinaryIO

from face_import.contract import MAX_DESCRIPTION_BYTES, MAX_ID_BYTES, MAX_ROW, MAX_TAG_BYTES, MAX_URI_BYTES
from face_import.domain.models import Block, Row, Shard, SourceIndex
from face_import.domain.uri_form import embeds_image
from face_import.errors import SourceError
from face_import.settings import Settings
from face_import.sources.encoding import Utf8Chunks
from face_import.sources.records import POSITIONAL_COLUMNS, LineFeed, Records, header_columns

_OTHER_CELLS_BYTES = 64 * 2**10
_MAX_COMMAS = 2**20
"""Per record: a million short cells in Python take as much memory as the longest allowed cell."""


BLOCK_ROWS = 100
BLOCK_BYTES = 2**20
MAX_BLOCKS = 16_384
"""At this many, blocks are merged in pairs, and new ones are twice as large.

So the index stays below a megabyte for any source, and the largest shard, a thousandth of the rows, still consists of
at least eight blocks.
"""


class BlockTable:
    """A block table under construction.

    Attributes:
        rows: rows of each block.
        starts: offset of each block's first byte.
        lines: physical line each block begins at.
        max_rows: rows at which a block is full.
        max_bytes: bytes at which a block is full.
    """

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.starts: list[int] = []
        self.lines: list[int] = []
        self.max_rows = BLOCK_ROWS
        self.max_bytes = BLOCK_BYTES

    def add(self, rows: int, start: int, line: int) -> None:
        """Append a block, which extends to the start of the next."""
        self.rows.append(rows)
        self.starts.append(start)
        self.lines.append(line)
        if len(self.rows) == MAX_BLOCKS:
            self.rows = [first + second for first, second in zip(self.rows[::2], self.rows[1::2], strict=True)]
            self.starts, self.lines = self.starts[::2], self.lines[::2]
            self.max_rows *= 2
            self.max_bytes *= 2

    def blocks(self, size: int) -> tuple[Block, ...]:
        """The blocks of a stored source of `size` bytes."""
        return join_blocks(self.rows, self.starts, self.lines, size)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits on a source.

    Attributes:
        source_bytes: maximum size of the file as sent.
        cell_bytes: maximum size of a cell. A physical line may have another 64 KiB for its other cells, and so may a
            record over several lines: a file without line ends is rejected rather than held in memory.
        rows: maximum number of rows.
    """

    source_bytes: int
    cell_bytes: int
    rows: int = MAX_ROW

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        """The configured limits."""
        return cls(source_bytes=settings.max_source_bytes, cell_bytes=settings.max_cell_bytes, rows=settings.max_rows)


def ingest(stream: BinaryIO, sink: BinaryIO, bounds: Bounds) -> SourceIndex:
    """Copy a source to `sink` as UTF-8 and index its rows, in one pass and constant memory.

    A problem of a single row becomes that row's outcome; a source is rejected only if it cannot be parsed.

    Args:
        stream: the file as sent, in UTF-8, UTF-16 or GB18030; read once, from its current position.
        sink: receives the same text as UTF-8 without a byte order mark, with unchanged line ends.
        bounds: the limits; also sets the process's `csv.field_size_limit`.

    Returns:
        The index, whose offsets count bytes of what was written to `sink`.

    Raises:
        SourceError: not text, an unclosed quote, a cell or record too large, a duplicate column, no rows or too
            many; with the physical line if known.
        SourceTooLarge: more than `bounds.source_bytes`.
    """
    csv.field_size_limit(bounds.cell_bytes)
    text = Utf8Chunks(stream, bounds.source_bytes)
    feed = LineFeed(_copied(text, sink), bounds.cell_bytes + _OTHER_CELLS_BYTES, _MAX_COMMAS)
    records = Records(feed)
    first = next(iter(records), [])
    columns = header_columns(first, records.line)
    if columns is None:
        table = _index(records, feed, bounds.rows, rows=1 if first else 0, start=0, line=1)
    else:
        table = _index(records, feed, bounds.rows, rows=0, start=feed.offset(), line=records.next_line)
    if not table.rows:
        raise SourceError("the file has no rows")
    return SourceIndex(
        columns=columns or POSITIONAL_COLUMNS,
        header=columns is not None,
        encoding=text.encoding,
        size=feed.end,
        blocks=table.blocks(feed.end),
    )


def _copied(chunks: Iterable[bytes], sink: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        sink.write(chunk)
        yield chunk


def _index(  # noqa: PLR0913 - where the first block begins is three numbers
    records: Records, feed: LineFeed, most: int, *, rows: int, start: int, line: int
) -> BlockTable:
    """Record where blocks begin; the first one begins at `start`, and `rows` rows of it are already read."""
    table, total = BlockTable(), 0
    while rows := rows + records.skip(table.max_rows - rows, start + table.max_bytes):
        if (total := total + rows) > most:
            raise SourceError(f"more than {most} rows", line=line)
        table.add(rows, start, line)
        rows, start, line = 0, feed.offset(), records.next_line
    return table


def join_blocks(rows: Iterable[int], starts: Iterable[int], lines: Iterable[int], size: int) -> tuple[Block, ...]:
    """Blocks from their columns.

    Args:
        rows: rows of each block.
        starts: offset of each block's first byte; it ends where the next one starts.
        lines: physical line each block begins at.
        size: bytes of the stored source, where the last block ends.
    """
    rows = tuple(rows)
    first_rows = accumulate(rows, initial=1)
    ranges = pairwise((*starts, size))
    return tuple(
        Block(first_row=first_row, rows=count, start=start, end=end, line=line)
        for first_row, count, (start, end), line in zip(first_rows, rows, ranges, lines, strict=False)
    )


def read_rows(chunks: Iterable[bytes], columns: Sequence[str], shard: Shard) -> Iterator[Row]:
    """Read the rows of one shard lazily, by the same rules as ingesting.

    Args:
        chunks: bytes `shard.start` to `shard.end` of the stored source, in pieces cut anywhere.
        columns: names of the columns in file order, from the source's index.
        shard: the shard; no cell is larger than its range, so `csv.field_size_limit` is raised to that if necessary.

    Yields:
        The rows, numbered from `shard.first_row`. A row without a uri has an empty one; one with
        more cells than there are columns, or a cell that is too long, has a `problem`.

    Raises:
        SourceError: there are not exactly `shard.rows` rows: the stored source was changed.
    """
    size = shard.end - shard.start
    csv.field_size_limit(max(csv.field_size_limit(), size))
    records = Records(LineFeed(chunks, max_line=size, max_commas=size), first_line=shard.line)
    number = shard.first_row - 1
    for number, record in enumerate(records, shard.first_row):
        yield _row(record, columns, number, records.line)
    if number != shard.last_row:
        found = number - shard.first_row + 1
        raise SourceError(f"shard {shard.number} of the stored source has {found} rows, not {shard.rows}")


def _row(record: list[str], columns: Sequence[str], number: int, line: int) -> Row:
    cells = dict(zip(columns, record, strict=False))
    problem = ""
    if len(record) > len(columns):
        problem = f"{len(record)} values for {len(columns)} columns (line {line})"
        if any(cell.startswith("data:") for cell in record):
            problem += "; a data URI contains a comma and must be quoted"
    row = Row(
        number=number,
        line=line,
        uri=cells["uri"].strip() if "uri" in cells else "",
        tag=cells.get("tag", ""),
        description=cells.get("description", ""),
        id=cells.get("id", "").strip(),
        problem=problem,
    )
    return row if problem or not (problem := _too_long(row)) else replace(row, problem=problem)


def _too_long(row: Row) -> str:
    """A message if a cell is too long for the face library or our tables, else empty.

    A data URI contains the image itself, which has its own limit.
    """
    bounds = [
        ("tag", row.tag, MAX_TAG_BYTES),
        ("description", row.description, MAX_DESCRIPTION_BYTES),
        ("id", row.id, MAX_ID_BYTES),
    ]
    if len(row.uri) > MAX_URI_BYTES // 4 and not embeds_image(row.uri):
        bounds.append(("uri", row.uri, MAX_URI_BYTES))
    for name, cell, most in bounds:
        if len(cell) > most // 4 and (size := len(cell.encode(errors="surrogatepass"))) > most:
            return f"the {name} is {size} bytes long, more than {most} (line {row.line})"
    return ""
