"""Shorthands of the tests of sources."""

import io

from face_import.domain.models import Row, Shard, SourceIndex
from face_import.domain.planning import plan_shards
from face_import.domain.reading import AS_FOUND, ReadingOptions
from face_import.sources import Bounds, ingest, read_rows

BOUNDS = Bounds(source_bytes=2**30, cell_bytes=2**24)


class Dribble(io.RawIOBase):
    """A stream that cannot seek and gives a few bytes at a time, as sockets do."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def readable(self) -> bool:
        """As every stream to be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `step` bytes."""
        return self._data.read(min(size, self._step) if size >= 0 else self._step)


def taken_in(
    data: bytes,
    bounds: Bounds = BOUNDS,
    options: ReadingOptions = AS_FOUND,
) -> tuple[SourceIndex, bytes]:
    """The index of a file and what is stored of it."""
    sink = io.BytesIO()
    index = ingest(io.BytesIO(data), sink, bounds, options)
    return index, sink.getvalue()


def shard_rows(stored: bytes, index: SourceIndex, shard: Shard, step: int = 7) -> list[Row]:
    """Rows of one shard, its range given in pieces of `step` bytes."""
    part = stored[shard.start : shard.end]
    chunks = (part[i : i + step] for i in range(0, len(part), step))
    return list(read_rows(chunks, index.reading, shard))


def all_rows(data: bytes, options: ReadingOptions = AS_FOUND) -> list[Row]:
    """Rows of a file, by the way of intake and shards."""
    index, stored = taken_in(data, options=options)
    return [row for shard in plan_shards(index, 1) for row in shard_rows(stored, index, shard)]
