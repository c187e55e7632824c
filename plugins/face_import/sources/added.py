"""The source of an undo: the faces that another import has added, as CSV of our own."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain

from face_import.domain.models import Added, AddedFace, Shard
from face_import.domain.reading import Reading, ReadingOptions
from face_import.sources.stored import StoredSource

TITLES = ("uri", "tag", "face_id", "row", "added_at", "key")
READING = Reading(separator=",", columns={"uri": 0, "tag": 1, "id": 2}, width=len(TITLES), titles=TITLES)
"""How such a file is read: it is written here, so nothing has to be found out."""
UTF_8 = ReadingOptions(encoding="utf-8")


class AddedFaces(io.RawIOBase):
    """Such a file, written while it is read.

    Args:
        faces: those of the undone import, in row order; their numbers are not used.
    """

    def __init__(self, faces: Iterable[AddedFace]) -> None:
        super().__init__()
        self._pieces = _pieces(faces)
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read on; 0 at the end."""
        while not self._rest and (piece := next(self._pieces, None)) is not None:
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _pieces(faces: Iterable[AddedFace]) -> Iterator[bytes]:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\r\n")  # cells with either character are quoted then
    writer.writerow(TITLES)
    for face in faces:
        added = face.added
        writer.writerow((face.uri, face.tag, face.id, added.row, repr(added.at), added.key.hex()))
        yield line.getvalue().encode(errors="replace")
        line.seek(0)
        line.truncate()


def read_added(source: StoredSource, shard: Shard) -> Iterator[AddedFace]:
    """Read the faces of one shard, numbered as rows of the undo."""
    records = chain.from_iterable(source.batches(range(shard.first_row, shard.last_row + 1)))
    for number, (line, (uri, tag, face_id, row, at, key)) in enumerate(records, shard.first_row):
        yield AddedFace(number, line, uri, tag, id=face_id, added=Added(int(row), float(at), bytes.fromhex(key)))
