"""The rules of our CSV: lines, records, blank lines, quoting. Intake and shards share them."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from face_import.contract import SOURCE_COLUMN_ALIASES, SOURCE_COLUMNS
from face_import.errors import SourceError

POSITIONAL_COLUMNS: Final = SOURCE_COLUMNS[:3]
_SENTINEL = "\0"
_LONG_LINE = 2**20
"""Bytes from which a line is handed on by itself: a `StringIO` would hold it twice, and at four bytes a character."""


class RecordTooLarge(Exception):
    """A record that goes on and on: no line and no cell of it need be long."""


class Unreadable(Exception):
    """Bytes that are not text; `before` is what stands in front of them since the last batch."""

    def __init__(self, message: str, before: bytes) -> None:
        super().__init__(message)
        self.lines = len((before + b"?").splitlines()) - 1


class _LongLine:
    """One line, with what `LineFeed` uses of a `StringIO`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pulled = False

    def __iter__(self) -> Iterator[str]:
        self._pulled = True
        yield self._text

    def tell(self) -> int:
        """Position behind the line, once it was pulled."""
        return len(self._text) if self._pulled else 0


class LineFeed:
    r"""Physical lines (ended by LF, CR LF or CR) out of pieces of UTF-8.

    Lines come in batches, a `StringIO` each, so that no Python code runs per line: `csv.reader`
    pulls them one at a time and never reads ahead, hence the position of the `StringIO` after a
    record is where the record ends. A line of a megabyte is a batch by itself: a cell of the largest size is held as
    bytes, as text and in `csv.reader`, and no more often than that.

    Args:
        chunks: non-empty pieces of UTF-8, cut anywhere.
        max_line: bytes a line may have; bounds what is held while the end of a line is awaited. A record
            over many lines may have as many, beside the batches it begins and ends in.
        max_commas: how many a record may have, give or take those of a batch.

    Attributes:
        end: offset in bytes behind the batch in hand.
        settled: `end` when the last record was complete, noted by whoever reads the records.
    """

    def __init__(self, chunks: Iterable[bytes], max_line: int, max_commas: int) -> None:
        self.end = self.settled = 0
        self._commas = 0
        self._chunks = chunks
        self._max_line = max_line
        self._max_commas = max_commas
        self._text = ""
        self._lines: io.StringIO | _LongLine = io.StringIO()
        self._position = self._offset = 0

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._batches())

    def offset(self) -> int:
        """Offset in bytes behind the last line pulled."""
        position = self._lines.tell()
        if position == len(self._text):
            return self.end
        self._offset += len(self._text[self._position : position].encode())
        self._position = position
        return self._offset

    def last_line(self) -> str:
        """The last line pulled, with its end."""
        stop = self._lines.tell()
        inside = stop - (2 if self._text.endswith("\r\n", 0, stop) else 1)
        start = max(self._text.rfind("\n", 0, inside), self._text.rfind("\r", 0, inside)) + 1
        return self._text[start:stop]

    def _batches(self) -> Iterator[io.StringIO | _LongLine]:
        for batch in self._whole_lines():
            if (zero := batch.find(0)) >= 0:
                raise Unreadable("a zero byte: this is not a text file", batch[:zero])
            # With cells of megabytes, two batches side by side would be felt.
            self._text, self._lines = "", io.StringIO()
            try:
                self._text = batch.decode()
            except UnicodeDecodeError as error:
                raise Unreadable("not valid UTF-8 text", batch[: error.start]) from None
            self._bound_record(batch)
            self._offset, self._position = self.end, 0
            self.end += len(batch)
            is_long = len(batch) > _LONG_LINE
            del batch
            self._lines = _LongLine(self._text) if is_long else io.StringIO(self._text, newline="")
            yield self._lines

    def _bound_record(self, batch: bytes) -> None:
        """Refuse the next batch if a record that is still open, or one line in the batch, is too much to hold."""
        is_open = self.settled < self.end
        if self.end - self.settled > self._max_line:
            raise RecordTooLarge(f"longer than {self._max_line} bytes")
        if is_open or len(batch) > self._max_commas:  # an ordinary batch is not even looked at
            self._commas = is_open * self._commas + batch.count(b",")
        if self._commas > self._max_commas:
            raise RecordTooLarge(f"more than {self._max_commas} commas")

    def _whole_lines(self) -> Iterator[bytes]:
        pending: list[bytes] = []
        size = 0
        try:
            for chunk in self._chunks:
                # A CR at the very end may be half of a CR LF: it waits for the next chunk.
                cut = max(chunk.rfind(b"\n"), chunk.rfind(b"\r", 0, -1)) + 1
                if cut:
                    whole = [b"".join((*pending, chunk[:cut]))]
                    pending, size = [], 0
                    yield from _long_lines_apart(whole)
                pending.append(chunk[cut:])
                size += len(chunk) - cut
                if size > self._max_line:
                    raise Unreadable(f"longer than {self._max_line} bytes", b"")
        except UnicodeDecodeError as error:
            kind = "neither UTF-8 nor GB18030" if error.encoding == "gb18030" else f"not valid {error.encoding}"
            raise Unreadable(f"{kind} text", b"".join(pending)) from None
        whole = [b"".join(pending)]
        pending.clear()
        yield from _long_lines_apart(whole)


def _long_lines_apart(batches: list[bytes]) -> Iterator[bytes]:
    """The one batch of a list, cut so that a piece of more than `_LONG_LINE` bytes is one line.

    The list is emptied: what was handed on is not held here.
    """
    while batches:
        batch = batches.pop()
        if len(batch) > _LONG_LINE and (rest := batch[(cut := _first_line_end(batch)) :]):
            batches += rest, batch[:cut]
        elif batch:
            batches.append(batch)
            del batch
            yield batches.pop()


def _first_line_end(batch: bytes) -> int:
    """Offset behind the first line and its end."""
    feed, back = batch.find(b"\n"), batch.find(b"\r")
    if back >= 0 and (feed < 0 or back + 1 < feed):
        return back + 1
    return feed + 1 or len(batch)


class Records:
    """CSV records without the blank ones: those of no cell, or of one cell of white space.

    The rules are `csv.reader`'s own. A stray quote inside one line is read as it reads it by default
    (`"a"b` is `ab`). A quoted cell over several lines has to be closed properly, though: otherwise a
    quote somebody forgot would swallow the rows after it without a word.

    Args:
        feed: the lines.
        first_line: physical line of the feed's first line in the file that was sent.

    Attributes:
        line: physical line where the record that `__iter__` gave last begins.

    Raises:
        SourceError: while iterating; names the line.
    """

    def __init__(self, feed: LineFeed, first_line: int = 1) -> None:
        self.line = first_line
        self._first_line = first_line
        self._feed = feed
        self._reader = csv.reader(feed, strict=True)

    @property
    def next_line(self) -> int:
        """Physical line behind the last record read."""
        return self._first_line + self._reader.line_num

    def __iter__(self) -> Iterator[list[str]]:
        reader = self._reader
        while True:
            done = reader.line_num
            try:
                record = next(reader)
            except StopIteration:
                return
            except (csv.Error, Unreadable, RecordTooLarge) as error:
                record = self._recovered(error, done)
            self._feed.settled = self._feed.end
            if not _is_blank(record):
                self.line = self._first_line + done
                yield record

    def skip(self, rows: int, end: int) -> int:
        """Pass over records as iterating does, in half the time: intake reads millions.

        Args:
            rows: how many to pass over.
            end: offset in bytes; the record whose batch of lines reaches it is the last one.

        Returns:
            How many were passed over: 0 only at the end of the source.
        """
        feed, reader = self._feed, self._reader
        passed, done = 0, reader.line_num
        while passed < rows:
            try:
                for record in reader:
                    feed.settled = feed.end
                    if len(record) > 1 or not _is_blank(record):
                        passed += 1
                        if passed >= rows or feed.end >= end:
                            return passed
                    done = reader.line_num
            except (csv.Error, Unreadable, RecordTooLarge) as error:
                passed += not _is_blank(self._recovered(error, done))
                feed.settled = feed.end
                done = reader.line_num
            else:
                break
        return passed

    def _recovered(self, error: csv.Error | Unreadable | RecordTooLarge, done: int) -> list[str]:
        """The record of the line in hand, which the strict reader has refused and dropped.

        `done` is the number of lines read before the record.
        """
        line = self._first_line + done
        if isinstance(error, Unreadable):
            raise SourceError(str(error), line=self.next_line + error.lines) from None
        if isinstance(error, RecordTooLarge):
            raise SourceError(f"the record that begins here is too large: {error}", line=line) from None
        limit = csv.field_size_limit()
        if self.next_line > line + 1:
            raise SourceError(
                "the record that begins here has a quotation mark that is not closed properly "
                f"by line {self.next_line - 1}, or a cell of more than {limit} characters",
                line=line,
            ) from None
        try:
            record, *rest = csv.reader((self._feed.last_line(), _SENTINEL))
        except csv.Error:
            raise SourceError(f"a cell of more than {limit} characters", line=line) from None
        if not rest:
            raise SourceError("a quotation mark is opened and never closed", line=line) from None
        return record


def _is_blank(record: list[str]) -> bool:
    return not record or (len(record) == 1 and not record[0].strip())


def header_columns(record: list[str], line: int) -> tuple[str, ...] | None:
    """Columns a first record names, or None if it is data.

    A header has cells all among uri, tag, description (or desc) and id, in any case, uri among them.

    Raises:
        SourceError: it names a column twice.
    """
    names = [cell.strip().lower() for cell in record]
    columns = tuple(SOURCE_COLUMN_ALIASES.get(name, name) for name in names)
    if "uri" not in columns or not set(columns) <= set(SOURCE_COLUMNS):
        return None
    for column in columns:
        if columns.count(column) > 1:
            raise SourceError(f"the header names the column {column} twice", line=line)
    return columns
