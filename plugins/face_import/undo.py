"""What an undo has to do: the faces that the undone import has added, as a source of the undo's own.

From then on the undone import may be deleted.
"""

import io
from collections.abc import Iterator
from typing import cast

from face_import.catalogue import Catalogue, ImportTask
from face_import.domain.models import Added, AddedFace, SourceIndex
from face_import.domain.recurring import row_key
from face_import.domain.uri import display
from face_import.errors import TaskFailed, TaskNotFound
from face_import.sources.added import READING, UTF_8, AddedFaces
from face_import.sources.storage import Storage


def store_added(task: ImportTask, catalogue: Catalogue, storage: Storage, name: str) -> SourceIndex:
    """Store the faces that a task is to remove, a shard of the undone import at a time.

    Args:
        task: the undo.
        catalogue: where the ledger is.
        storage: where the file of the undone import is, and that of the undo will be.
        name: under which name.

    Raises:
        TaskFailed: the undone import was deleted.
        SourceError: it has no more faces in its group.
    """
    stream = cast("io.RawIOBase", AddedFaces(_added(task, catalogue, storage)))
    try:
        return storage.store(task.id, io.BufferedReader(stream), name, UTF_8, READING)
    except TaskNotFound:
        raise TaskFailed(
            f"task {task.config.undoes} was deleted before this one knew what to remove; delete this one, too"
        ) from None


def _added(task: ImportTask, catalogue: Catalogue, storage: Storage) -> Iterator[AddedFace]:
    undone = catalogue.tasks.get(task.config.undoes)
    for part in catalogue.plans.shards(undone.id):
        faces = catalogue.undoing.added(undone.id, part)
        rows = storage.open_shard(undone.id, part, undone.source_name) if faces else ()
        for row in rows:
            if found := faces.get(row.number):
                added = Added(row.number, found.at, row_key(row) if task.config.entry else b"")
                yield AddedFace(row.number, row.line, display(row.uri), row.tag, id=found.face_id, added=added)
