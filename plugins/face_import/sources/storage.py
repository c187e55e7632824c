"""Storage of sources: a folder per task, on any fsspec file system."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from errno import ENOSPC
from functools import partial
from typing import Any, BinaryIO, cast

from face_import.domain.identity import UPLOADED
from face_import.domain.models import AddedFace, Row, Shard, SourceIndex
from face_import.domain.reading import AS_FOUND, Reading, ReadingOptions
from face_import.errors import ConfigError, TaskNotFound
from face_import.settings import Settings
from face_import.sources.added import read_added
from face_import.sources.encoding import CHUNK_BYTES
from face_import.sources.files import as_os_error, file_system, writing
from face_import.sources.intake import Bounds, ingest, join_blocks, read_rows
from face_import.sources.stored import StoredSource
from face_import.space import shortage

INDEX_VERSION = 2
_READ_AHEAD = 2**20
_CHECK_BYTES = 16 * 2**20
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _Frugal:
    """A sink that is written to while there is room, rather than to the last byte, which others need."""

    def __init__(self, sink: BinaryIO, shortage: Callable[[], str]) -> None:
        self._sink = sink
        self._shortage = shortage
        self._unchecked = 0

    def write(self, data: bytes) -> int:
        self._unchecked += len(data)
        if self._unchecked >= _CHECK_BYTES:
            self._unchecked = 0
            if trouble := self._shortage():
                raise OSError(ENOSPC, trouble)
        return self._sink.write(data)


class Storage:
    """Sources under one root: `<root>/sources/<task id>/<name>.csv`, and its index `<name>.json` beside it.

    A source is written once under its name and never changed; the index is written last, so its presence says
    that the source is complete.
    Local folders and files are accessible to their owner only, because faces are personal data, and synced to disk
    before they get their name. For an object store, a source is one upload, which becomes visible when it is finished.

    Failures of the storage itself are raised as `OSError`: they are worth retrying.

    Args:
        root: fsspec URL of a folder; created on the first write.
        bounds: limits on a source.
        shortage: why there is no room for more of a source; empty while there is.

    Raises:
        ConfigError: the URL's file system is unknown or its package is not installed.
    """

    def __init__(self, root: str, bounds: Bounds, shortage: Callable[[], str] = str) -> None:
        self._bounds = bounds
        self._shortage = shortage
        self._fs, path = file_system(root)
        self._folder = f"{path.rstrip('/')}/sources"

    @classmethod
    def of(cls, settings: Settings) -> "Storage":
        """The configured storage."""
        return cls(settings.storage_root, Bounds.of(settings), partial(shortage, settings))

    def store(
        self,
        task_id: str,
        stream: BinaryIO,
        name: str = UPLOADED,
        options: ReadingOptions = AS_FOUND,
        known: Reading | None = None,
    ) -> SourceIndex:
        """Ingest a source, as `ingest` does, and store it under a name that nobody else uses.

        Raises:
            SourceError: it cannot be parsed.
            SourceTooLarge: it exceeds the limit.
            OSError: also when it would take the room that is kept free; what is written of it is removed.
        """
        try:
            with writing(self._fs, self._path(task_id, f"{name}.csv")) as sink:
                frugal = cast("BinaryIO", _Frugal(sink, self._shortage))
                index = ingest(stream, frugal, self._bounds, options, known)
            with writing(self._fs, self._path(task_id, f"{name}.json")) as sink:
                sink.write(dump_index(index))
        except BaseException:
            with suppress(OSError):
                self._remove(task_id, lambda file: file.startswith(f"{name}."))
            raise
        return index

    def index(self, task_id: str, name: str = UPLOADED) -> SourceIndex | None:
        """The index of a source, or None if no complete one is stored."""
        path = self._path(task_id, f"{name}.json")
        try:
            with as_os_error():
                document = self._fs.cat_file(path)
        except FileNotFoundError:
            return None
        return load_index(document)

    def open_shard(self, task_id: str, shard: Shard, name: str = UPLOADED) -> Iterator[Row]:
        """Read a shard's rows lazily, at most a megabyte ahead.

        Args:
            task_id: the import task.
            shard: the shard.
            name: the source that the shard refers to.

        Raises:
            TaskNotFound: no complete source is stored for the task.
            SourceError: while iterating: the stored source was changed.
        """
        index = self.index(task_id, name)
        if index is None:
            raise TaskNotFound(f"no source is stored for task {task_id}")
        return read_rows(self._range(self._path(task_id, f"{name}.csv"), shard.start, shard.end), index.reading, shard)

    def open_added(self, task_id: str, shard: Shard, name: str) -> Iterator[AddedFace]:
        """As `open_shard`, for an undo."""
        index = self.index(task_id, name)
        if index is None:
            raise TaskNotFound(f"no source is stored for task {task_id}")
        with self.opened(task_id, index, name) as source:
            yield from read_added(source, shard)

    @contextmanager
    def opened(self, task_id: str, index: SourceIndex, name: str = UPLOADED) -> Iterator[StoredSource]:
        """A source, to read any of its rows; `index` is its index."""
        with as_os_error():
            file = self._fs.open(self._path(task_id, f"{name}.csv"), "rb", block_size=_READ_AHEAD)
        with file:
            yield StoredSource(index, file)

    def keep_only(self, task_id: str, name: str) -> None:
        """Remove other sources of a task: from tries of `plan` that died or lost the race."""
        self._remove(task_id, lambda file: not file.startswith(f"{name}."))

    def _remove(self, task_id: str, unwanted: Callable[[str], bool]) -> None:
        folder = self._path(task_id, "").rstrip("/")
        with suppress(FileNotFoundError), as_os_error():
            for path in self._fs.ls(folder, detail=False):
                if unwanted(str(path).rpartition("/")[2]):
                    with suppress(FileNotFoundError):
                        self._fs.rm(path)

    def delete(self, task_id: str) -> None:
        """Remove everything stored for a task, if there is anything."""
        folder = self._path(task_id, "").rstrip("/")
        with suppress(FileNotFoundError), as_os_error():
            self._fs.rm(folder, recursive=True)

    def check(self) -> None:
        """Check that the storage is writable, or raise the file system's error.

        The file looks like a source without a task: should the process die in between, the keeper removes it.
        """
        name = uuid.uuid4().hex
        try:
            with writing(self._fs, self._path(name, "check")) as sink:
                sink.write(b"can this be written?")
        finally:
            self.delete(name)

    def task_ids(self) -> list[str]:
        """Tasks that have a folder here, complete or not."""
        try:
            with as_os_error():
                paths = self._fs.ls(self._folder, detail=False)
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rpartition("/")[2] for path in paths)
        return sorted(name for name in names if _TASK_ID.fullmatch(name))

    def _path(self, task_id: str, name: str) -> str:
        if not _TASK_ID.fullmatch(task_id):
            raise TaskNotFound(f"{task_id!r} is not a task id")
        return f"{self._folder}/{task_id}/{name}"

    def _range(self, path: str, start: int, end: int) -> Iterator[bytes]:
        with as_os_error(), self._fs.open(path, "rb", block_size=_READ_AHEAD) as file:
            file.seek(start)
            while start < end and (chunk := file.read(min(CHUNK_BYTES, end - start))):
                start += len(chunk)
                yield chunk


def dump_index(index: SourceIndex) -> bytes:
    """An index as JSON, with the three columns of the blocks that are not derived."""
    blocks = index.blocks
    document = {
        "version": INDEX_VERSION,
        "reading": asdict(index.reading),
        "size": index.size,
        "rows": [block.rows for block in blocks],
        "starts": [block.start for block in blocks],
        "lines": [block.line for block in blocks],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def load_index(document: bytes) -> SourceIndex:
    """An index written by `dump_index`, of this release or the one before.

    Raises:
        ConfigError: a later release wrote it.
    """
    fields: dict[str, Any] = json.loads(document)
    if not 1 <= fields["version"] <= INDEX_VERSION:
        raise ConfigError(
            f"source index version {fields['version']} is above {INDEX_VERSION}: a later release wrote it"
        )
    return SourceIndex(
        reading=_reading_of_version_1(fields) if fields["version"] == 1 else _reading(fields["reading"]),
        size=fields["size"],
        blocks=join_blocks(fields["rows"], fields["starts"], fields["lines"], fields["size"]),
    )


def _reading(fields: dict[str, Any]) -> Reading:
    return Reading(**(fields | {name: tuple(fields.get(name, ())) for name in ("titles", "sheets")}))


def _reading_of_version_1(fields: dict[str, Any]) -> Reading:
    columns = fields["columns"]
    return Reading(
        separator=",",
        columns={name: position for position, name in enumerate(columns)},
        width=len(columns),
        titles=tuple(columns) if fields["header"] else (),
        encoding=fields["encoding"],
    )
