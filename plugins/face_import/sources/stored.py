"""A stored source, of which any rows are read with all of their cells; the blocks without any are skipped."""

import csv
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from face_import.domain.models import Block, Shard, SourceIndex
from face_import.errors import SourceError
from face_import.sources.encoding import CHUNK_BYTES
from face_import.sources.files import as_os_error
from face_import.sources.records import LineFeed, Records

_BATCH_BYTES = 2**18
"""Bytes of the file after which a batch ends: they are in memory at the same time, apart from those of skipped rows."""
Record = tuple[int, list[str]]
"""Where a row begins, as for `Row.line`, and all its cells, which may be more or fewer than there are columns."""


class StoredSource:
    """A stored source.

    Args:
        index: its index.
        file: the source, open; belongs to this object meanwhile.

    Attributes:
        reading: how it is read.
        bytes_read: bytes of it that were read so far.
    """

    def __init__(self, index: SourceIndex, file: BinaryIO) -> None:
        self.reading = index.reading
        self.bytes_read = 0
        self._blocks = index.blocks
        self._first_rows = [block.first_row for block in index.blocks]
        self._file = file

    def titles(self) -> list[str]:
        """A title for each of the file's columns: its own, or without a header, the names of ours and numbers."""
        reading = self.reading
        if not reading.titles:
            names = {position: name for name, position in reading.columns.items()}
            return [names.get(position, f"column {position + 1}") for position in range(reading.width)]
        records = iter(self._records(0, self._blocks[0].start, line=1))
        for _ in range(reading.skipped):
            next(records, None)
        titles = reading.own(next(records, []))[: reading.width]
        return titles + [""] * (reading.width - len(titles))

    def batches(self, rows: Sequence[int]) -> Iterator[list[Record]]:
        """Read rows, some at a time: a few hundred kilobytes, or one that is larger.

        Args:
            rows: their numbers, ascending.

        Raises:
            SourceError: while iterating: there is no such row, as the stored source was changed.
        """
        done = 0
        while done < len(rows):
            first = last = bisect_right(self._first_rows, rows[done]) - 1
            end = self._end_in(rows, last, done)
            while end < len(rows) and last + 1 < len(self._blocks) and rows[end] <= self._last_row(last + 1):
                last += 1
                end = self._end_in(rows, last, end)
            yield from self._batches(self._blocks[first : last + 1], rows[done:end])
            done = end

    def shards(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Shard]:
        """Shards of some ranges only; each is read to its end, as where it ends is not in the index.

        Args:
            ranges: first row and number of rows of each, ascending.

        Raises:
            SourceError: while iterating: there are no such rows, as the stored source was changed.
        """
        for number, (first_row, rows) in enumerate(ranges):
            block, last = self._block_of(first_row), self._block_of(first_row + rows - 1)
            records = self._records(block.start, last.end, block.line)
            start = block.start + _offset_after(records, first_row - block.first_row)
            line = records.next_line
            end = block.start + _offset_after(records, rows)
            yield Shard(number, first_row, rows, start, end, line)

    def _block_of(self, row: int) -> Block:
        return self._blocks[bisect_right(self._first_rows, row) - 1]

    def _end_in(self, rows: Sequence[int], block: int, done: int) -> int:
        return bisect_right(rows, self._last_row(block), done)

    def _last_row(self, block: int) -> int:
        return self._blocks[block].first_row + self._blocks[block].rows - 1

    def _batches(self, blocks: Sequence[Block], rows: Sequence[int]) -> Iterator[list[Record]]:
        """Rows of adjacent blocks."""
        end, passed = blocks[-1].end, blocks[0].first_row - 1
        records = self._records(blocks[0].start, end, blocks[0].line)
        found = iter(records)
        batch: list[Record] = []
        full = self.bytes_read + _BATCH_BYTES
        own = self.reading.own if self.reading.of_results else None
        for row in rows:
            if ahead := row - passed - 1:
                records.skip(ahead, end + 1)
            cells = next(found, None)
            if cells is None:
                raise SourceError(f"the stored source has no row {row}")
            passed = row
            batch.append((records.line, own(cells) if own else cells))
            if self.bytes_read > full:
                yield batch
                batch = []
                full = self.bytes_read + _BATCH_BYTES
        yield batch

    def _records(self, start: int, end: int, line: int) -> Records:
        """Records of a range of bytes that begins and ends between two; none of their cells is larger than it."""
        size = end - start
        csv.field_size_limit(max(csv.field_size_limit(), size))
        separator, of_sheet = self.reading.separator, bool(self.reading.sheet)
        return Records(LineFeed(self._range(start, end), size, size, separator, of_sheet=of_sheet), first_line=line)

    def _range(self, start: int, end: int) -> Iterator[bytes]:
        with as_os_error():
            self._file.seek(start)
        while start < end:
            with as_os_error():
                chunk = self._file.read(min(CHUNK_BYTES, end - start))
            if not chunk:
                return
            start += len(chunk)
            self.bytes_read += len(chunk)
            yield chunk


def _offset_after(records: Records, rows: int) -> int:
    """Skip rows; returns the offset in bytes after them, from where the records begin."""
    if (found := records.skip(rows, sys.maxsize)) < rows:
        raise SourceError(f"the stored source lacks {rows - found} rows")
    return records.offset
