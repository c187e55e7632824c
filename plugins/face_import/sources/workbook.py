"""An Excel workbook as a stream: one sheet of it as CSV, converted by a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGABRT, SIGKILL, SIGXCPU
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, BinaryIO

from face_import.errors import SourceError, SourceTooLarge
from face_import.sources.encoding import CHUNK_BYTES

MAX_WORKBOOK_BYTES = 256 * 2**20
"""Of the file as sent. One of a million short rows has 30 to 50 MB; a larger one mostly has pictures."""

_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_TOO_LARGE = "the workbook is too large to be read as a workbook; save it as CSV UTF-8"
_READER = Path(__file__).with_name("workbook_reader.py")
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


class Workbook:
    """One sheet of an xlsx or xlsm workbook, in non-empty chunks of CSV in UTF-8 split anywhere, to be iterated once.

    Records end with CR LF, and blank rows are kept as blank lines, so that a line of the CSV has the number of the
    sheet's row, as far as no cell above has a line break in it. Empty columns on the left, and empty cells and rows at
    the end, are left out. Text is as it is in the cell; dates are in ISO 8601; of formulas it is the value that was
    saved with them, also if that is an error (`#N/A`); other values are as Excel shows them in a wide column, except
    that a number's format is not applied: 123 shown as 00123 is `123`.

    The file and the CSV are on disk meanwhile, as temporary files. A process converts at most one workbook at a time.

    Args:
        stream: any binary stream; short reads are fine.
        max_bytes: bound on the size of the file as sent.
        sheet: name of the sheet; if empty, the first one that is not hidden.
        head: what was already read from the stream.

    Attributes:
        sheet: name of the sheet that is read, final with the first chunk.
        others: names of the other sheets that are not hidden, in order, known with the first chunk.

    Raises:
        SourceError: while iterating, before the first chunk: it is no workbook, or another kind of it, damaged,
            protected by a password or too large; the sheet is empty or not there.
        SourceTooLarge: the same, if the stream is longer than `max_bytes`.
    """

    def __init__(self, stream: BinaryIO, max_bytes: int, sheet: str = "", head: bytes = b"") -> None:
        self.sheet = sheet
        self.others: tuple[str, ...] = ()
        self._stream = stream
        self._max_bytes = max_bytes
        self._head = head

    def __iter__(self) -> Iterator[bytes]:
        with TemporaryFile() as file, TemporaryFile() as answer:
            self._keep(file)
            with _turn:
                _convert(file, self.sheet, answer)
            told = json.loads(answer.readline())
            if error := told.get("error"):
                raise SourceError(error)
            self.sheet, self.others = told["sheet"], tuple(told["others"])
            while chunk := answer.read(CHUNK_BYTES):
                yield chunk

    def _keep(self, file: IO[bytes]) -> None:
        total, chunk = 0, self._head or self._stream.read(CHUNK_BYTES)
        while chunk:
            total += len(chunk)
            if total > self._max_bytes:
                raise SourceTooLarge(f"the source is larger than {self._max_bytes} bytes")
            if total > MAX_WORKBOOK_BYTES:
                raise SourceError(_TOO_LARGE)
            file.write(chunk)
            chunk = self._stream.read(CHUNK_BYTES)
        file.seek(0)


def _convert(file: IO[bytes], sheet: str, answer: IO[bytes]) -> None:
    """Run the reader; its answer is then at the start of `answer`."""
    command = [sys.executable, "-P", _READER, sheet]  # -P: not to import our modules in place of Python's own
    done = subprocess.run(command, stdin=file, stdout=answer, check=False)  # noqa: S603 - our own program
    if -done.returncode in _AT_A_LIMIT:
        raise SourceError(_TOO_LARGE)
    done.check_returncode()
    answer.seek(0)
