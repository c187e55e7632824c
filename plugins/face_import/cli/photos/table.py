"""A CSV file with a row for each photo, whose bytes are in it as a data URI; it is made while it is sent."""

import base64
import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from face_import.cli.photos.names import FIELDS
from face_import.cli.photos.places import UNREADABLE, Entry, why
from face_import.errors import SourceError

_READ_BYTES = 3 * 2**16
"""Whole groups of base64."""
_TYPES = {"JPEG2000": "jp2"}


@dataclass(frozen=True, slots=True)
class Photo:
    """An image file as it was when it was looked at.

    Attributes:
        entry: the file.
        format: Pillow's name of its format.
        labels: what its name says, by column.
        size: in bytes.
        digest: SHA-256 of its bytes.
    """

    entry: Entry
    format: str
    labels: Mapping[str, str]
    size: int
    digest: bytes


class Table:
    """An `Upload` of photos; needs as much memory for large photos as for small ones.

    The columns are uri, those that the photos' names say, and file, which is not imported: it stands in results.

    Args:
        name: of the place the photos are from.
        photos: at least one; all have the same labels.
    """

    def __init__(self, name: str, photos: Sequence[Photo]) -> None:
        self.name = f"{name}.csv"
        self._fields = [field for field in FIELDS if field in photos[0].labels]
        self._header = _line("uri", *self._fields, "file")
        self._rows = [(photo, *self._around(photo)) for photo in photos]
        self.size = len(self._header) + sum(
            len(before) + (photo.size + 2) // 3 * 4 + len(after) for photo, before, after in self._rows
        )

    @property
    def digest(self) -> str:
        """The same for tables with the same rows."""
        digest = hashlib.sha256(self._header)
        for photo, before, after in self._rows:
            digest.update(before + photo.digest + after)
        return digest.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """See `Upload`."""
        yield self._header
        for photo, before, after in self._rows:
            yield before
            yield from _base64(photo)
            yield after

    def _around(self, photo: Photo) -> tuple[bytes, bytes]:
        """What is before and after a photo's base64 in its row."""
        kind = _TYPES.get(photo.format, photo.format.lower())
        texts = _line(*(photo.labels[field] for field in self._fields), photo.entry.path)
        return f'"data:image/{kind};base64,'.encode(), b'",' + texts


def _base64(photo: Photo) -> Iterator[bytes]:
    digest, left = hashlib.sha256(), photo.size
    try:
        with photo.entry.opened() as file:
            while data := _exactly(file, min(_READ_BYTES, left)):
                digest.update(data)
                left -= len(data)
                yield base64.b64encode(data)
    except UNREADABLE as error:
        raise SourceError(f"{photo.entry.path} cannot be read any more: {why(error)}") from None
    if digest.digest() != photo.digest:
        raise SourceError(f"{photo.entry.path} was changed while the photos were sent")


def _exactly(file: IO[bytes], size: int) -> bytes:
    """Bytes of a file, fewer only at its end: a member of a zip file is read in pieces of any size."""
    data = b""
    while len(data) < size and (piece := file.read(size - len(data))):
        data += piece
    return data


def _line(*cells: str) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()
