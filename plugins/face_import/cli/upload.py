"""A multipart form that streams its file: requests would hold all of it in memory."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from urllib3.filepost import encode_multipart_formdata

from face_import.errors import SourceError

CHUNK_BYTES = 2**18


class Form:
    """Fields and one file, as a body of known length that can be sent repeatedly.

    Args:
        fields: the form's other fields.
        path: a regular file; its current size is what is sent.
        sent: called after each chunk with the number of bytes sent so far.

    Raises:
        SourceError: the file became shorter while it was sent.
    """

    def __init__(self, fields: Mapping[str, str], path: Path, sent: Callable[[int], None]) -> None:
        name = path.name.encode(errors="replace").decode()
        body, self.content_type = encode_multipart_formdata([*fields.items(), ("file", (name, b"", "text/csv"))])
        # The file is the last part: only the closing boundary follows it.
        self._tail = f"\r\n--{self.content_type.rpartition('=')[2]}--\r\n".encode()
        self._head = body.removesuffix(self._tail)
        self._path, self._size, self._sent = path, path.stat().st_size, sent

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        left = self._size
        with self._path.open("rb") as file:
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise SourceError(f"{self._path} became shorter while it was sent")
                yield chunk
                left -= len(chunk)
                self._sent(self._size - left)
        yield self._tail
