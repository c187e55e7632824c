"""A multipart form that streams its file, if it has one: requests would hold all of it in memory."""

import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from urllib3.filepost import encode_multipart_formdata

from face_import.errors import InvalidRequest, SourceError

CHUNK_BYTES = 2**18


class Upload(Protocol):
    """A file to send, or what is sent as one.

    Attributes:
        name: its name.
        size: in bytes.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see above

    @property
    def size(self) -> int: ...  # noqa: D102 - see above

    def chunks(self) -> Iterator[bytes]:
        """Its content, the same each time.

        Raises:
            SourceError: it cannot be read, or has changed since its size was told.
        """


class File:
    """A regular file; as much of it is sent as it has when this is created.

    Raises:
        InvalidRequest: it is a pipe or a device.
    """

    def __init__(self, path: Path) -> None:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InvalidRequest(f"{path} is not a regular file: its size must be known before the upload")
        self._path = path
        self.name = path.name
        self.size = status.st_size

    def chunks(self) -> Iterator[bytes]:
        """See `Upload`."""
        left = self.size
        with self._path.open("rb") as file:
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise SourceError(f"{self._path} became shorter while it was sent")
                yield chunk
                left -= len(chunk)


class Form:
    """Fields and at most one file, as a body of known length that can be sent repeatedly.

    Args:
        fields: the form's other fields.
        file: the file; None sends the fields alone.
        sent: called after each chunk with the number of bytes of the file sent so far.

    Raises:
        SourceError: while iterating: the file changed while it was sent.
    """

    def __init__(self, fields: Mapping[str, str], file: Upload | None, sent: Callable[[int], None]) -> None:
        parts: list[tuple[str, str | tuple[str, bytes, str]]] = [*fields.items()]
        if file:
            parts.append(("file", (file.name.encode(errors="replace").decode(), b"", "text/csv")))
        body, self.content_type = encode_multipart_formdata(parts)
        # The file is the last part: only the closing boundary follows it.
        self._tail = f"\r\n--{self.content_type.rpartition('=')[2]}--\r\n".encode()
        self._head = body.removesuffix(self._tail)
        self._file, self._size, self._sent = file, file.size if file else 0, sent

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        if self._file:
            yield from self._content(self._file)
        yield self._tail

    def _content(self, file: Upload) -> Iterator[bytes]:
        done = 0
        for chunk in file.chunks():
            yield chunk
            done += len(chunk)
            self._sent(done)
