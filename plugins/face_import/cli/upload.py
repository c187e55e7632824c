"""A multipart form that streams its file, if it has one: requests would hold all of it in memory."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from urllib3.filepost import encode_multipart_formdata

from face_import.errors import SourceError

CHUNK_BYTES = 2**18


class Form:
    """Fields and at most one file, as a body of known length that can be sent repeatedly.

    Args:
        fields: the form's other fields.
        path: a regular file; its current size is what is sent. None sends the fields alone.
        sent: called after each chunk with the number of bytes sent so far.

    Raises:
        SourceError: the file became shorter while it was sent.
    """

    def __init__(self, fields: Mapping[str, str], path: Path | None, sent: Callable[[int], None]) -> None:
        parts: list[tuple[str, str | tuple[str, bytes, str]]] = [*fields.items()]
        if path:
            parts.append(("file", (path.name.encode(errors="replace").decode(), b"", "text/csv")))
        body, self.content_type = encode_multipart_formdata(parts)
        # The file is the last part: only the closing boundary follows it.
        self._tail = f"\r\n--{self.content_type.rpartition('=')[2]}--\r\n".encode()
        self._head = body.removesuffix(self._tail)
        self._path, self._size, self._sent = path, path.stat().st_size if path else 0, sent

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        if self._path:
            yield from self._content(self._path)
        yield self._tail

    def _content(self, path: Path) -> Iterator[bytes]:
        left = self._size
        with path.open("rb") as file:
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise SourceError(f"{path} became shorter while it was sent")
                yield chunk
                left -= len(chunk)
                self._sent(self._size - left)
