"""An Excel workbook as a stream: one sheet of it as CSV, converted by a process of its own."""

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGABRT, SIGKILL, SIGXCPU
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, BinaryIO

from face_import.errors import Ambiguous, Busy, SourceError, SourceTooLarge
from face_import.sources.encoding import CHUNK_BYTES

MAX_WORKBOOK_BYTES = 256 * 2**20
"""Of the file as sent. One of a million short rows has 30 to 50 MB; a larger one mostly has pictures."""
MAX_CSV_BYTES = 2**30
"""Of the sheet as CSV, which is on disk as well; calamine's memory runs out before that, unless cells are quotes."""
CPU_SECONDS = 60
"""For a conversion, and for what waits for others: a million rows of four columns take 15."""
WALL_SECONDS = 2 * CPU_SECONDS

_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_TOO_LARGE = "the workbook is too large to be read as a workbook; save it as CSV UTF-8"
_READER = Path(__file__).with_name("workbook_reader.py")
_START_BYTES = 8
_AT_A_LIMIT = {SIGABRT, SIGKILL, SIGXCPU}
"""How a process ends that runs out of memory, and one that runs out of time."""
_turn = Lock()
"""A conversion may take as much memory as the reader's limit, and the API has a hundred threads."""


def is_workbook(head: bytes) -> bool:
    """Whether a file is to be read by `Workbook`: a ZIP archive, or a container of old Office files.

    Only what else is in the file tells whether it is a workbook that can be read; `Workbook` says what it is otherwise.

    Args:
        head: the first bytes of the file, at least eight.
    """
    return head.startswith(_STARTS)


class Started:
    """A binary stream whose first bytes were looked at.

    Args:
        stream: any binary stream; short reads are fine.

    Attributes:
        is_workbook: see `is_workbook`.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._head = b""
        while len(self._head) < _START_BYTES and (chunk := stream.read(CHUNK_BYTES)):
            self._head += chunk
        self.is_workbook = is_workbook(self._head)

    def read(self, size: int) -> bytes:
        """The next bytes, from the stream's start; at most `size`, except the first ones."""
        head, self._head = self._head, b""
        return head or self._stream.read(size)


class Workbook:
    """One sheet of an xlsx or xlsm workbook, in non-empty chunks of CSV in UTF-8 split anywhere, to be iterated once.

    Records end with CR LF, and blank rows are kept as blank lines, so that a line of the CSV has the number of the
    sheet's row, as far as no cell above has a line break in it. Empty columns on the left, and empty cells and rows at
    the end, are left out. Text is as it is in the cell; dates are in ISO 8601; of formulas it is the value that was
    saved with them, also if that is an error (`#N/A`); other values are as Excel shows them in a wide column, except
    that a number's format is not applied: 123 shown as 00123 is `123`.

    The file and the CSV are on disk meanwhile, as temporary files without a name: nobody else can open them, and they
    are gone when this process is. A process converts at most one workbook at a time.

    Args:
        stream: any binary stream; short reads are fine.
        max_bytes: bound on the size of the file as sent, and on that of the CSV.
        sheet: name of the sheet; if empty, the first one that is not hidden.

    Attributes:
        sheet: name of the sheet that is read, final with the first chunk.
        sheets: names of the sheets that are not hidden, up to 100, if there are others than `sheet`; known with the
            first chunk.

    Raises:
        Busy: while iterating, before the first chunk: other workbooks take too long.
        OSError: the same, if there is no room for the temporary files.
        SourceError: the same, if it is no workbook, or another kind of it, damaged, protected by a password or too
            large; the sheet is empty or not there.
        SourceTooLarge: the same, if the stream or the CSV is longer than `max_bytes`.
    """

    def __init__(self, stream: Started, max_bytes: int, sheet: str = "") -> None:
        self.sheet = sheet
        self.sheets: tuple[str, ...] = ()
        self._also = ""
        self._stream = stream
        self._max_bytes = max_bytes

    def __iter__(self) -> Iterator[bytes]:
        with TemporaryFile() as file, TemporaryFile() as answer:
            self._keep(file)
            _convert(file, self.sheet, answer, min(self._max_bytes, MAX_CSV_BYTES))
            told = json.loads(answer.readline())
            if error := told.get("error"):
                raise SourceError(error)
            self.sheet, self.sheets, self._also = told["sheet"], tuple(told["sheets"]), told["also"]
            while chunk := answer.read(CHUNK_BYTES):
                yield chunk

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Have errors about the table name the sheet's row in place of a line, and the sheets that may be meant."""
        try:
            yield
        except SourceError as error:
            text = str(error)
            if error.line:
                text = f"row {error.line} of the sheet: {text.removeprefix(f'line {error.line}: ')}"
            error.args = (text + self._also,)
            error.sheet, error.sheets = self.sheet, self.sheets
            if isinstance(error, Ambiguous):
                error.problem += self._also
            raise

    def _keep(self, file: IO[bytes]) -> None:
        total = 0
        while chunk := self._stream.read(CHUNK_BYTES):
            total += len(chunk)
            if total > self._max_bytes:
                raise SourceTooLarge(f"the source is larger than {self._max_bytes} bytes")
            if total > MAX_WORKBOOK_BYTES:
                raise SourceError(_TOO_LARGE)
            file.write(chunk)
        file.seek(0)


def _convert(file: IO[bytes], sheet: str, answer: IO[bytes], max_bytes: int) -> None:
    """Run the reader; its answer is then at the start of `answer`."""
    # -P: not to import our modules in place of Python's own
    command = [sys.executable, "-P", str(_READER), sheet, str(max_bytes), str(CPU_SECONDS)]
    if not _turn.acquire(timeout=CPU_SECONDS):
        raise Busy("other workbooks are being read; try again later, or send this one as CSV")
    try:
        ended = subprocess.run(  # noqa: S603 - our own program
            command, stdin=file, stdout=answer, check=False, timeout=WALL_SECONDS
        ).returncode
    except subprocess.TimeoutExpired:
        raise SourceError(_TOO_LARGE) from None
    finally:
        _turn.release()
    if -ended in _AT_A_LIMIT:
        raise SourceError(_TOO_LARGE)
    if ended == errno.EFBIG:
        raise SourceTooLarge(f"the sheet is larger than {max_bytes} bytes as CSV")
    if ended:
        raise OSError(ended, "a workbook could not be read")
    answer.seek(0)
