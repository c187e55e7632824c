"""A byte stream in any accepted encoding, recoded as UTF-8 in one pass, without seeking."""

import codecs
import re
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from face_import.domain.charsets import codec_of, name_of
from face_import.errors import SourceError, SourceTooLarge
from face_import.sources.sample import Undecided, chosen_encoding

CHUNK_BYTES = 64 * 2**10
"""Bytes read at a time; measured fastest: a chunk and its results stay in the processor's cache."""

_HEAD_BYTES = 4096
_FEW_ZEROS = 8
"""So many zero bytes may be damage; any address has more in UTF-16."""
_HELD_IN_MEMORY = 2**20
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
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

    The encoding is what the caller says; else what a byte order mark says; else UTF-16, if zero bytes stand where those
    of ASCII characters would; else what makes sense of the text (`sample`). The choice holds for the whole file. ASCII
    is passed on as it comes, since all readings agree on it. From the first byte beyond ASCII on, the bytes are held
    back (on disk, above 1 MiB) until the choice is certain, since what has been passed on cannot be called back.

    A byte order mark that contradicts the caller is refused, not obeyed and not ignored: one of the two is wrong, and
    either choice would silently give another text.

    UTF-8 is passed on unchecked, because it is decoded anyway when it is split into lines.

    Args:
        stream: any binary stream; short reads are fine.
        max_bytes: bound on the bytes read from it.
        encoding: a name that `charsets` knows; empty to have it recognised.

    Attributes:
        encoding: a codec name, final once the iteration has ended.

    Raises:
        SourceError: the name is unknown; or, while iterating, the bytes are those of another kind of file.
        SourceTooLarge: while iterating: the stream is longer than `max_bytes`.
        UnicodeDecodeError: while iterating, after all text before the bad byte was passed on.
        Undecided: the same for the first byte beyond ASCII, if it cannot be told what it means.
    """

    def __init__(self, stream: BinaryIO, max_bytes: int, encoding: str = "") -> None:
        self.encoding = "utf-8"
        self._forced = codec_of(encoding) if encoding.strip() else ""
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
        if self._forced:
            declared = _agreed(self._forced, declared, has_mark=mark > 0)
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
            error.encoding = self.encoding  # that of a code page would be "charmap"
            raise

    def _undeclared(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if not chunk.isascii():
                break
            yield chunk
        else:
            return
        with tempfile.SpooledTemporaryFile(max_size=_HELD_IN_MEMORY) as held:
            try:
                self.encoding = chosen_encoding(_kept(chain((chunk,), chunks), held))
            except Undecided:
                yield _BEYOND_ASCII.split(chunk, maxsplit=1)[0]
                raise
            held.seek(0)
            yield from self._recoded(chain(iter(lambda: held.read(CHUNK_BYTES), b""), chunks))


def _kept(chunks: Iterable[bytes], held: tempfile.SpooledTemporaryFile[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        held.write(chunk)
        yield chunk


def _agreed(forced: str, declared: str | None, *, has_mark: bool) -> str:
    """The encoding to use where the caller has named one, and the file may say something itself."""
    if forced == "utf-16":
        if declared and declared.startswith("utf-16"):
            return declared
        if not has_mark:
            raise SourceError("this is not UTF-16, or has no byte order mark; if it is, name UTF-16-LE or UTF-16-BE")
    if has_mark and declared and declared.removesuffix("-sig") != forced:
        marked = name_of(declared.removesuffix("-sig"))
        raise SourceError(
            f"the file begins with the byte order mark of {marked}, but its encoding was given as {name_of(forced)}; "
            f"leave the encoding empty, or give {marked}"
        )
    return declared if has_mark and declared else forced


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
    even, odd = head[::2].count(0), head[1::2].count(0)  # beyond a header in Chinese there are addresses
    if max(even, odd) >= max(_FEW_ZEROS, len(head) / 16) and max(even, odd) > 8 * min(even, odd):
        return ("utf-16-le" if odd > even else "utf-16-be"), 0
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
