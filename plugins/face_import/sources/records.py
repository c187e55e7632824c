"""Our CSV rules: lines, records, blank lines, quoting; shared by ingesting and reading."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import length_hint
from string import whitespace

from face_import.domain.charsets import name_of
from face_import.errors import SourceError
from face_import.sources.sample import Undecided

_SENTINEL = "\0"
_LONG_LINE = 2**20
"""Longer lines are passed on by themselves: a `StringIO` would hold them twice, at four bytes per character."""


class RecordTooLarge(Exception):
    """A record is too large, though its lines and cells may be short."""


class Unreadable(Exception):
    """Bytes that are not text; `before` are the bytes of the batch in front of them."""

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
        """Position after the line, once it was pulled."""
        return len(self._text) if self._pulled else 0


class _SheetRows:
    """Lines of which only CR LF is an end, with what `LineFeed` uses of a `StringIO`."""

    def __init__(self, text: str) -> None:
        self._rows = [f"{row}\r\n" for row in text.removesuffix("\r\n").split("\r\n")]
        self._rest = iter(self._rows)

    def __iter__(self) -> Iterator[str]:
        return self._rest

    def tell(self) -> int:
        """Position after the last line pulled."""
        return sum(map(len, self._rows[: len(self._rows) - length_hint(self._rest)]))


class LineFeed:
    r"""Physical lines (ended by LF, CR LF or CR) from chunks of UTF-8.

    Lines come in batches, a `StringIO` each, so that no Python code runs per line: `csv.reader` pulls them one at a
    time and never reads ahead, so the position of the `StringIO` after a record is where the record ends. A line of a
    megabyte is a batch by itself: a cell of the largest size is held only as bytes, as text and in `csv.reader`.

    Args:
        chunks: non-empty chunks of UTF-8, split anywhere.
        max_line: maximum bytes of a line; bounds what is held until a line's end. A record over many lines may have as
            many, besides the batches it begins and ends in.
        max_separators: maximum separators in a record, give or take those of a batch.
        separator: the character between cells.
        of_sheet: whether only CR LF ends a line, as in what `workbook` writes: a line is then a row of the sheet.

    Attributes:
        end: offset in bytes after the current batch.
        settled: `end` when the last record was complete, set by the reader of the records.
        separator: as given.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        max_line: int,
        max_separators: int,
        separator: str = ",",
        *,
        of_sheet: bool = False,
    ) -> None:
        self.end = self.settled = 0
        self.separator = separator
        self._of_sheet = of_sheet
        self._separators = 0
        self._chunks = chunks
        self._max_line = max_line
        self._max_separators = max_separators
        self._text = ""
        self._lines: io.StringIO | _LongLine | _SheetRows = io.StringIO()
        self._position = self._offset = 0

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._batches())

    def offset(self) -> int:
        """Offset in bytes after the last line pulled."""
        position = self._lines.tell()
        if position == len(self._text):
            return self.end
        self._offset += len(self._text[self._position : position].encode())
        self._position = position
        return self._offset

    def last_line(self) -> str:
        """The last line pulled, with its end."""
        stop = self._lines.tell()
        if self._of_sheet:
            before = self._text.rfind("\r\n", 0, stop - 2)
            return self._text[before + 2 if before >= 0 else 0 : stop]
        inside = stop - (2 if self._text.endswith("\r\n", 0, stop) else 1)
        start = max(self._text.rfind("\n", 0, inside), self._text.rfind("\r", 0, inside)) + 1
        return self._text[start:stop]

    def _batches(self) -> Iterator[io.StringIO | _LongLine | _SheetRows]:
        for batch in self._whole_lines():
            if (zero := batch.find(0)) >= 0:
                raise Unreadable("a zero byte: this is not a text file", batch[:zero])
            # Release the last batch first: with cells of megabytes, two at a time would matter.
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
            self._lines = self._split(is_long=is_long)
            yield self._lines

    def _split(self, *, is_long: bool) -> io.StringIO | _LongLine | _SheetRows:
        if is_long:
            return _LongLine(self._text)
        return _SheetRows(self._text) if self._of_sheet else io.StringIO(self._text, newline="")

    def _bound_record(self, batch: bytes) -> None:
        """Reject the next batch if a record that is still open, or one line of the batch, is too large."""
        is_open = self.settled < self.end
        if self.end - self.settled > self._max_line:
            raise RecordTooLarge(f"longer than {self._max_line} bytes")
        if is_open or len(batch) > self._max_separators:  # ordinary batches are not scanned
            self._separators = is_open * self._separators + batch.count(self.separator.encode())
        if self._separators > self._max_separators:
            raise RecordTooLarge(f"more than {self._max_separators} cells")

    def _whole_lines(self) -> Iterator[bytes]:
        pending: list[bytes] = []
        size = 0
        try:
            for chunk in self._chunks:
                if cut := self._last_end(chunk, pending):
                    whole = [b"".join((*pending, chunk[:cut]))]
                    pending, size = [], 0
                    yield from _long_lines_apart(whole, of_sheet=self._of_sheet)
                pending.append(chunk[cut:])
                size += len(chunk) - cut
                if size > self._max_line:
                    raise Unreadable(f"longer than {self._max_line} bytes", b"")
        except UnicodeDecodeError as error:
            raise Unreadable(f"not valid {name_of(error.encoding)} text", b"".join(pending)) from None
        except Undecided as error:
            raise Unreadable(str(error), b"".join(pending)) from None
        whole = [b"".join(pending)]
        pending.clear()
        yield from _long_lines_apart(whole, of_sheet=self._of_sheet)

    def _last_end(self, chunk: bytes, pending: list[bytes]) -> int:
        """Offset after the last line end in a chunk that is whole, or 0."""
        if not self._of_sheet:
            # A CR at the very end may be half of a CR LF: keep it for the next chunk.
            return max(chunk.rfind(b"\n"), chunk.rfind(b"\r", 0, -1)) + 1
        if (found := chunk.rfind(b"\r\n")) >= 0:
            return found + 2
        return int(bool(pending) and pending[-1].endswith(b"\r") and chunk.startswith(b"\n"))


def _long_lines_apart(batches: list[bytes], *, of_sheet: bool) -> Iterator[bytes]:
    """The one batch of a list, split so that any part of more than `_LONG_LINE` bytes is one line.

    The list is emptied, so that parts already passed on are not kept alive.
    """
    while batches:
        batch = batches.pop()
        if len(batch) > _LONG_LINE and (rest := batch[(cut := _first_line_end(batch, of_sheet=of_sheet)) :]):
            batches += rest, batch[:cut]
        elif batch:
            batches.append(batch)
            del batch
            yield batches.pop()


def _first_line_end(batch: bytes, *, of_sheet: bool) -> int:
    """Offset after the first line and its end."""
    if of_sheet:
        return batch.find(b"\r\n") + 2 if b"\r\n" in batch else len(batch)
    feed, back = batch.find(b"\n"), batch.find(b"\r")
    if back >= 0 and (feed < 0 or back + 1 < feed):
        return back + 1
    return feed + 1 or len(batch)


class Records:
    """CSV records, except blank ones, whose cells are all empty or white space: spreadsheets write thousands of them.

    The rules are `csv.reader`'s own. A stray quote within one line is read as by default (`"a"b` is `ab`). A quoted
    cell over several lines must be closed properly, though: otherwise a forgotten quote would silently swallow the
    rows after it.

    Args:
        feed: the lines.
        first_line: physical line of the feed's first line in the file that was sent.

    Attributes:
        line: physical line where the last record from `__iter__` begins.

    Raises:
        SourceError: while iterating; names the line.
    """

    def __init__(self, feed: LineFeed, first_line: int = 1) -> None:
        self.line = first_line
        self._first_line = first_line
        self._feed = feed
        self._reader = csv.reader(feed, delimiter=feed.separator, strict=True)

    @property
    def next_line(self) -> int:
        """Physical line after the last record read."""
        return self._first_line + self._reader.line_num

    @property
    def offset(self) -> int:
        """Offset in bytes after the last record read, from where the feed begins."""
        return self._feed.offset()

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
            # White space is below "!"; a comparison is cheaper than a call.
            if (record and record[0] > "!") or not is_blank(record):
                self.line = self._first_line + done
                yield record

    def skip(self, rows: int, end: int) -> int:
        """Skip records by the same rules as iterating, in half the time: ingesting reads millions.

        Args:
            rows: how many to skip.
            end: offset in bytes; the record whose batch of lines reaches it is the last one.

        Returns:
            How many were skipped: 0 only at the end of the source.
        """
        feed, reader = self._feed, self._reader
        passed, done = 0, reader.line_num
        while passed < rows:
            try:
                for record in reader:
                    feed.settled = here = feed.end
                    if (record and record[0] > "!") or not is_blank(record):  # as in `__iter__`
                        passed += 1
                        if passed >= rows or here >= end:
                            return passed
                    done = reader.line_num
            except (csv.Error, Unreadable, RecordTooLarge) as error:
                passed += not is_blank(self._recovered(error, done))
                feed.settled = feed.end
                done = reader.line_num
            else:
                break
        return passed

    def _recovered(self, error: csv.Error | Unreadable | RecordTooLarge, done: int) -> list[str]:
        """The record of the current line, which the strict reader has rejected and dropped.

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
            record, *rest = csv.reader((self._feed.last_line(), _SENTINEL), delimiter=self._feed.separator)
        except csv.Error:
            raise SourceError(f"a cell of more than {limit} characters", line=line) from None
        if not rest:
            raise SourceError("a quotation mark is opened and never closed", line=line) from None
        return record


def is_blank(record: list[str]) -> bool:
    """Whether a record has no text in any cell, that is, nothing but ASCII white space."""
    return not any(cell.strip(whitespace) for cell in record)


def unwrapped(cell: str) -> str:
    """A cell without the formula by which spreadsheets are made to keep text as it is: `="00123"` is 00123."""
    if cell.startswith('="') and cell.endswith('"') and len(cell) > 2 and '"' not in (inner := cell[2:-1]):
        return inner
    return cell
