"""Ingesting a source: one pass that recodes, validates, counts and indexes it."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from face_import.contract import MAX_ROW
from face_import.domain.models import SourceIndex
from face_import.errors import SourceError
from face_import.settings import Settings
from face_import.sources.blocks import BlockTable
from face_import.sources.encoding import Utf8Chunks
from face_import.sources.records import POSITIONAL_COLUMNS, LineFeed, Records, header_columns

_OTHER_CELLS_BYTES = 64 * 2**10
_MAX_COMMAS = 2**20
"""Per record: a million short cells in Python take as much memory as the longest allowed cell."""


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
