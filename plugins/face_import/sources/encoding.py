"""A byte stream in any accepted encoding, recoded as UTF-8 in one pass, without seeking."""

import codecs
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from face_import.errors import SourceError, SourceTooLarge

CHUNK_BYTES = 64 * 2**10
"""Bytes read at a time; measured fastest: a chunk and its results stay in the processor's cache."""

_HEAD_BYTES = 4096
_HELD_IN_MEMORY = 2**20
_UTF8_EVIDENCE = 32
_ASCII = bytes(range(128))
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    ("\ufeff".encode("gb18030"), "gb18030"),
)
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a WebP image or another RIFF file"),
    (b"%PDF-", "a PDF document"),
    (b"\x1f\x8b", "gzip-compressed; decompress it first"),
    (b"BZh", "bzip2-compressed; decompress it first"),
    (b"\xfd7zXZ\x00", "xz-compressed; decompress it first"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed; decompress it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"PAR1", "a Parquet file; export it as CSV"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (codecs.BOM_UTF32_LE, "UTF-32 text; save it as UTF-8"),
    (codecs.BOM_UTF32_BE, "UTF-32 text; save it as UTF-8"),
)


class Utf8Chunks:
    """The text of a binary stream, in non-empty chunks of UTF-8 split anywhere.

    The encoding is what a byte order mark says; else UTF-16, if zero bytes stand where those of
    ASCII characters would; else UTF-8; else GB18030. The choice holds for the whole file. ASCII is
    passed on as it comes, since all readings agree on it. From the first byte beyond ASCII on, the
    bytes are held back (on disk, above 1 MiB) until the choice is certain: two bytes of GB18030 may
    be one valid UTF-8 character (a column full of 女 is also one full of Ů), and what has been passed
    on cannot be called back. 32 different characters that are valid UTF-8 make it certain, which
    ordinary text reaches within its first kilobytes; the first sequence that is not valid decides
    for GB18030.

    UTF-8 is passed on unchecked, because it is decoded anyway when it is split into lines.

    Args:
        stream: any binary stream; short reads are fine.
        max_bytes: bound on the bytes read from it.

    Attributes:
        encoding: a codec name, final once the iteration has ended.

    Raises:
        SourceError: while iterating: the bytes are those of another kind of file.
        SourceTooLarge: while iterating: the stream is longer than `max_bytes`.
        UnicodeDecodeError: while iterating, after all text before the bad byte was passed on.
    """

    def __init__(self, stream: BinaryIO, max_bytes: int) -> None:
        self.encoding = "utf-8"
        self._stream = stream
        self._max_bytes = max_bytes

    def __iter__(self) -> Iterator[bytes]:
        return filter(None, self._text())

    def _text(self) -> Iterator[bytes]:
        chunks = self._chunks()
        head = b""
        while len(head) < _HEAD_BYTES and (chunk := next(chunks, b"")):
            head += chunk
        if kind := kind_of_binary(head):
            raise SourceError(f"this is not a CSV file but {kind}")
        declared, mark = _declared_encoding(head)
        chunks = chain((head[mark:],), chunks)
        if declared is None:
            yield from self._undeclared(chunks)
        else:
            self.encoding = declared
            yield from self._recoded(chunks)

    def _chunks(self) -> Iterator[bytes]:
        total = 0
        while chunk := self._stream.read(CHUNK_BYTES):
            total += len(chunk)
            if total > self._max_bytes:
                raise SourceTooLarge(f"the source is larger than {self._max_bytes} bytes")
            yield chunk

    def _recoded(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        if self.encoding in {"utf-8", "utf-8-sig"}:
            yield from chunks
            return
        decoder = codecs.getincrementaldecoder(self.encoding)()
        try:
            for chunk in chunks:
                yield decoder.decode(chunk).encode()
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            yield error.object[: error.start].decode(self.encoding).encode()
            raise

    def _undeclared(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if not chunk.isascii():
                break
            yield chunk
        else:
            return
        with tempfile.SpooledTemporaryFile(max_size=_HELD_IN_MEMORY) as held:
            self.encoding = _guess(_kept(chain((chunk,), chunks), held))
            held.seek(0)
            yield from self._recoded(chain(iter(lambda: held.read(CHUNK_BYTES), b""), chunks))


def _kept(chunks: Iterable[bytes], held: tempfile.SpooledTemporaryFile[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        held.write(chunk)
        yield chunk


def _guess(chunks: Iterable[bytes]) -> str:
    """Read as much as is needed to tell UTF-8 from GB18030."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    seen: set[str] = set()
    try:
        for chunk in chunks:
            decoder.decode(chunk)
            seen.update(chunk.translate(None, _ASCII).decode("utf-8", "ignore"))
            if len(seen) >= _UTF8_EVIDENCE:
                return "utf-8"
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8"


def _declared_encoding(head: bytes) -> tuple[str | None, int]:
    """The encoding that the first bytes reveal, and the length of its byte order mark."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    zeros = tuple(byte == 0 for byte in head[:4])
    if zeros == (False, True, False, True):
        return "utf-16-le", 0
    if zeros == (True, False, True, False):
        return "utf-16-be", 0
    return None, 0


def kind_of_binary(head: bytes) -> str:
    """Name of a file type commonly sent by mistake, recognised by its first bytes; else empty.

    Archives and Office files are not among them: `workbook` knows what they are.

    Args:
        head: the first bytes of the file, up to 4 kB.
    """
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    markup = head.removeprefix(codecs.BOM_UTF8).lstrip()[:16].lower()
    if markup.startswith((b"<!doctype html", b"<html")):
        return "a web page (is the address behind a login?)"
    return "an XML document" if markup.startswith(b"<?xml") else ""
