"""Creates of the API: one task for each idempotency key, and sources whose URL is read later."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.records import TaskConfig, new_task_values, reading_text
from face_import.catalogue.schema import KEPT, import_task
from face_import.contract import TaskState
from face_import.domain.reading import Reading
from face_import.errors import KeyReused


@dataclass(frozen=True, slots=True)
class Once:
    """Identifies a create, so that sending it again makes no second task.

    Attributes:
        key: SHA-256 of the client's key and of who sent it.
        digest: SHA-256 of what was sent.
    """

    key: bytes
    digest: bytes


class Creates:
    """Stores the tasks that the API creates.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def find(self, once: Once) -> str | None:
        """Id of the task that an earlier request with this key created, unless it was deleted.

        Raises:
            KeyReused: that request had other content.
        """
        with self._reader.begin() as connection:
            return _find(connection, once)

    def add(  # noqa: PLR0913 - the columns of a new task
        self,
        task_id: str,
        config: TaskConfig,
        *,
        total_num: int = 0,
        reading: Reading | None = None,
        source_url: str | None = None,
        once: Once | None = None,
    ) -> str:
        """Create a task, unless there is one for this key; of two at the same moment, the first commit decides.

        Args:
            task_id: id of the new task, and of its run.
            config: its configuration.
            total_num: rows of its source, if it is stored.
            reading: how its source is read, if it is stored.
            source_url: the URL that `plan` will read, secrets included; None if the source is stored.
            once: identifies the request, if the client wants it to count once.

        Returns:
            The id of the task for this key: `task_id`, or that of an earlier request's.

        Raises:
            KeyReused: that earlier request had other content.
        """
        values = new_task_values(task_id, task_id, config, TaskState.CREATED, total_num)
        values |= {"source_url": source_url, "reading": reading and reading_text(reading)}
        if once:
            values |= {"create_key": once.key, "create_digest": once.digest}
        insert = upsert_for(self._engine.dialect)(import_task).values(values)
        unless_kept = insert.on_conflict_do_nothing(index_elements=["create_key"], index_where=KEPT)
        added = unless_kept.returning(import_task.c.id)
        while True:
            with self._engine.begin() as connection:
                if connection.scalar(added):
                    return task_id
                if once and (earlier := _find(connection, once)):
                    return earlier
            # The other task was deleted in between, which frees the key.

    def source_url(self, task_id: str) -> str | None:
        """The URL of a source that is not stored yet, with its secrets: not for logs."""
        with self._reader.begin() as connection:
            return connection.scalar(select(import_task.c.source_url).where(import_task.c.id == task_id))


def _find(connection: Connection, once: Once) -> str | None:
    columns = import_task.c
    query = select(columns.id, columns.create_digest).where(
        columns.create_key == once.key, columns.deleted_at.is_(None)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if row.create_digest != once.digest:
        raise KeyReused(
            f"Idempotency-Key: an earlier request with this key and other content created task {row.id}; "
            "use a new key for each import"
        )
    return str(row.id)
