"""Ingesting a source in one pass: validated, stored as CSV in UTF-8, indexed by blocks; reading a shard's rows back."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise
from typing import BinaryIO, cast

from face_import.contract import MAX_DESCRIPTION_BYTES, MAX_ID_BYTES, MAX_ROW, MAX_TAG_BYTES, MAX_URI_BYTES
from face_import.domain.models import Block, Row, Shard, SourceIndex
from face_import.domain.reading import AS_FOUND, Reading, ReadingOptions
from face_import.domain.uri import cleaned
from face_import.domain.uri_form import embeds_image
from face_import.errors import SourceError
from face_import.settings import Settings
from face_import.sources.encoding import Utf8Chunks
from face_import.sources.reading import PLAIN, decide
from face_import.sources.records import LineFeed, Records, unwrapped
from face_import.sources.workbook import Started, Workbook

_OTHER_CELLS_BYTES = 64 * 2**10
_MAX_SEPARATORS = 2**20
"""Per record: a million short cells in Python take as much memory as the longest allowed cell."""
_SAMPLE_BYTES = 2**17
_SAMPLE_LINES = 3
_BLANK_LINES = re.compile(r'\A(?:[ ,;\t|"]*[\r\n]+)+')
_LONG_CELL = re.compile(r"((?:\A|(?<=[,;\t|\"\r\n]))[^,;\t|\"\r\n]{64})[^,;\t|\"\r\n]{256,}")
_LOST_DIGITS = re.compile(r"\d[.,]\d+E\+?\d+|\dE\+\d+", re.IGNORECASE)
"""What spreadsheets make of a long number."""
_ERROR_VALUE = re.compile(r"#{4,}|#N/A|#NV|#[A-ZÄÖÜ/0]+[!?]|\\N", re.IGNORECASE)
"""`#N/A`, `#REF!`, `########`, and `\\N` of a database."""


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


def ingest(
    stream: BinaryIO,
    sink: BinaryIO,
    bounds: Bounds,
    options: ReadingOptions = AS_FOUND,
    known: Reading | None = None,
) -> SourceIndex:
    """Copy a source to `sink` as CSV in UTF-8 and index its rows, in one pass and constant memory.

    How it is read is decided from its first part. A problem of a single row becomes that row's outcome; a source is
    rejected only if it cannot be parsed, or not in one way only.

    Args:
        stream: the file as sent, CSV or a workbook; read once, from its current position.
        sink: receives the same text as UTF-8 without a byte order mark, with unchanged line ends; of a workbook, what
            `Workbook` makes of it.
        bounds: the limits; also sets the process's `csv.field_size_limit`.
        options: what the client says about the file.
        known: how a CSV file is read, if that need not be decided.

    Returns:
        The index, whose offsets count bytes of what was written to `sink`.

    Raises:
        SourceError: not text, an unclosed quote, a cell or record too large, no rows or too many, ambiguous columns;
            with the physical line, or the sheet's row, if known; a workbook that cannot be read.
        SourceTooLarge: more than `bounds.source_bytes`.
        Busy: other workbooks are being read, and take too long.
    """
    csv.field_size_limit(bounds.cell_bytes)
    max_line = bounds.cell_bytes + _OTHER_CELLS_BYTES
    started = Started(stream)
    if started.is_workbook:
        return _ingest_workbook(started, sink, bounds, options, max_line)
    if options.sheet:
        raise SourceError("sheet: a CSV file has no sheets; leave the sheet empty")
    text = Utf8Chunks(cast("BinaryIO", started), bounds.source_bytes, options.encoding)
    sample, chunks = _sampled(_copied(text, sink), max_line)
    reading = known or (decide(sample, options) if sample else PLAIN)
    table, size = _table(chunks, reading, bounds, max_line)
    return SourceIndex(reading=replace(reading, encoding=text.encoding), size=size, blocks=table.blocks(size))


def _ingest_workbook(
    stream: Started, sink: BinaryIO, bounds: Bounds, options: ReadingOptions, max_line: int
) -> SourceIndex:
    if options.encoding:
        raise SourceError("encoding: a workbook has no encoding to choose; leave the encoding empty")
    if options.separator:
        raise SourceError("separator: a workbook has no separator to choose; leave the separator empty")
    workbook = Workbook(stream, bounds.source_bytes, options.sheet)
    with workbook.errors():
        sample, chunks = _sampled(_copied(workbook, sink), max_line)
        found = decide(sample, replace(options, separator=",")) if sample else PLAIN
        reading = replace(found, encoding="", sheet=workbook.sheet, sheets=workbook.sheets)
        table, size = _table(chunks, reading, bounds, max_line)
    return SourceIndex(reading=reading, size=size, blocks=table.blocks(size))


def _table(chunks: Iterator[bytes], reading: Reading, bounds: Bounds, max_line: int) -> tuple[BlockTable, int]:
    """The blocks of a source, and its size in bytes."""
    feed = LineFeed(chunks, max_line, _MAX_SEPARATORS, reading.separator, of_sheet=bool(reading.sheet))
    records = Records(feed)
    for _ in range(reading.skipped + bool(reading.titles)):
        next(iter(records))
    table = _index(records, feed, bounds.rows)
    if not table.rows:
        raise SourceError("the file has no rows")
    return table, feed.end


def _copied(chunks: Iterable[bytes], sink: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        sink.write(chunk)
        yield chunk


def _sampled(chunks: Iterator[bytes], max_line: int) -> tuple[str, Iterator[bytes]]:
    """The first lines that are not blank, as text, and all chunks.

    Long cells are shortened, and many short ones are cut off, so a sample is small, whatever the lines. It is empty if
    the bytes are not text: the reader of the chunks finds out where.
    """
    held: list[bytes] = []
    decoder = codecs.getincrementaldecoder("utf-8")()
    sample, size = "", 0
    try:
        for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            sample = _BLANK_LINES.sub("", sample + _LONG_CELL.sub(r"\1", decoder.decode(chunk)))
            lines = sample.count("\n") + sample.count("\r")
            if (size >= _SAMPLE_BYTES and lines > _SAMPLE_LINES) or len(sample) > _SAMPLE_BYTES or size > 2 * max_line:
                sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
                break
        else:
            decoder.decode(b"", final=True)
    except UnicodeError as error:
        is_utf8 = isinstance(error, UnicodeDecodeError) and error.encoding == "utf-8"
        rest = chunks if is_utf8 else _raising(error)  # what was recoded is valid UTF-8
        return "", chain(_released(held), rest)
    return "" if "\0" in sample else sample, chain(_released(held), chunks)


def _released(held: list[bytes]) -> Iterator[bytes]:
    """The chunks, each released as it is passed on."""
    held.reverse()
    while held:
        yield held.pop()


def _raising(error: Exception) -> Iterator[bytes]:
    raise error
    yield b""


def _index(records: Records, feed: LineFeed, most: int) -> BlockTable:
    """Record where blocks begin, from the records' current position."""
    table, total = BlockTable(), 0
    start, line = feed.offset(), records.next_line
    while rows := records.skip(table.max_rows, start + table.max_bytes):
        if (total := total + rows) > most:
            raise SourceError(f"more than {most} rows", line=line)
        table.add(rows, start, line)
        start, line = feed.offset(), records.next_line
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


def read_rows(chunks: Iterable[bytes], reading: Reading, shard: Shard) -> Iterator[Row]:
    """Read the rows of one shard lazily, by the same rules as ingesting.

    Args:
        chunks: bytes `shard.start` to `shard.end` of the stored source, in pieces cut anywhere.
        reading: how the source is read, from its index.
        shard: the shard; no cell is larger than its range, so `csv.field_size_limit` is raised to that if necessary.

    Yields:
        The rows, numbered from `shard.first_row`. A row without a uri has an empty one; one with text beyond the
        columns, or a cell that cannot be right, has a `problem`.

    Raises:
        SourceError: there are not exactly `shard.rows` rows: the stored source was changed.
    """
    size = shard.end - shard.start
    csv.field_size_limit(max(csv.field_size_limit(), size))
    of_sheet = bool(reading.sheet)
    feed = LineFeed(chunks, max_line=size, max_separators=size, separator=reading.separator, of_sheet=of_sheet)
    records = Records(feed, first_line=shard.line)
    number = shard.first_row - 1
    for number, record in enumerate(records, shard.first_row):
        yield _row(reading.own(record), reading, number, records.line)
    if number != shard.last_row:
        found = number - shard.first_row + 1
        raise SourceError(f"shard {shard.number} of the stored source has {found} rows, not {shard.rows}")


def _row(record: list[str], reading: Reading, number: int, line: int) -> Row:
    cells = {
        column: unwrapped(record[position]) for column, position in reading.columns.items() if position < len(record)
    }
    row = Row(
        number=number,
        line=line,
        uri=cleaned(cells.get("uri", "")),
        tag=cells.get("tag", ""),
        description=cells.get("description", ""),
        id=cleaned(cells.get("id", "")),
        in_sheet=bool(reading.sheet),
    )
    problem = _too_many(record, reading.width) or _no_id(row.id) or _too_long(row)
    return replace(row, problem=f"{problem} ({row.place})") if problem else row


def _too_many(record: list[str], width: int) -> str:
    """A message if there is text beyond the columns; empty surplus cells are no cells."""
    if len(record) <= width or not any(map(str.strip, record[width:])):
        return ""
    problem = f"{len(record)} cells for {width} columns"
    if any(cell.startswith("data:") for cell in record):
        problem += "; a data URI contains a comma and must be quoted"
    return problem


def _no_id(face_id: str) -> str:
    """A message if a spreadsheet or database has written something else in place of an id."""
    if face_id[-1:].isdecimal() and _LOST_DIGITS.fullmatch(face_id):
        return f"the id {face_id} was shortened by a spreadsheet; format its column as text, and enter the ids again"
    if face_id[:1] in {"#", "\\"} and _ERROR_VALUE.fullmatch(face_id):
        return (
            f"the id {face_id} is what a spreadsheet or database writes for no value; enter the id, or leave it empty"
        )
    return ""


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
            return f"the {name} is {size} bytes long, more than {most}"
    return ""
