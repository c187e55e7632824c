"""What a running import waits for, in a sentence: nothing has failed, and it continues by itself."""

import time
from threading import Lock

from sqlalchemy import Engine

from face_import.catalogue import ImportTask
from face_import.catalogue.engine import has_room
from face_import.contract import Notice, TaskState
from face_import.settings import Settings
from face_import.space import shortage

LOOK_EVERY_S = 5.0
"""Details are asked for all the time, and whether PostgreSQL has room is found out by letting it write a megabyte."""


class Notices:
    """Knows why imports wait.

    Args:
        settings: name the disks that are seen from here.
        engine: of the catalogue.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._looking = Lock()
        self._full = False
        self._looked_at = -LOOK_EVERY_S

    def of(self, task: ImportTask) -> str:
        """The sentence; empty if the import waits for nothing that is known here."""
        if task.state != TaskState.RUNNING:
            return ""
        if trouble := shortage(self._settings):
            return f"{trouble}; rows wait, and continue by themselves once there is room"
        return Notice.DATABASE_FULL if self._database_is_full() else task.notice

    def _database_is_full(self) -> bool:
        """What the last look has found; one request at a time looks again, and the others do not wait for it."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S and self._looking.acquire(blocking=False):
            try:
                self._full = not has_room(self._engine)
                self._looked_at = time.monotonic()
            finally:
                self._looking.release()
        return self._full
