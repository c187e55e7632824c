"""What clients of live events are told: one look a second at each task, however many clients follow it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from face_import.catalogue import Catalogue
from face_import.catalogue.progress import summary
from face_import.contract import Event, TaskState
from face_import.errors import TaskNotFound

EVERY_S = 1.0
_ENDS = {TaskState.STOPPED: Event.STOPPED, TaskState.COMPLETED: Event.COMPLETED}


class Told(NamedTuple):
    """An event.

    Attributes:
        id: of an end, which no other end of the task has; empty otherwise.
        data: the task in short, as JSON in one line.
    """

    event: Event
    id: str
    data: str

    @property
    def is_last(self) -> bool:
        """Whether the task has ended."""
        return self.event is not Event.PROGRESS


@dataclass(slots=True)
class _Followed:
    """A task that clients follow."""

    clients: int = 0
    looked_at: float | None = None
    told: Told | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Feed:
    """Looks at the tasks that are followed.

    Args:
        catalogue: where they are.
        every_s: seconds between two looks at one task.
    """

    def __init__(self, catalogue: Catalogue, every_s: float = EVERY_S) -> None:
        self._catalogue = catalogue
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()
        self.every_s = every_s

    def look(self, task_id: str) -> Told:
        """What is to be told of a task now."""
        try:
            task = self._catalogue.tasks.get(task_id)
        except TaskNotFound:
            return Told(Event.DELETED, "deleted", json.dumps({"id": task_id}))
        data = json.dumps(summary(task, self._catalogue.ledger.progress(task_id)), ensure_ascii=False)
        end = _ENDS.get(task.state)
        return Told(end, f"{task.attempt}.{task.state}", data) if end else Told(Event.PROGRESS, "", data)

    @contextmanager
    def following(self, task_id: str) -> Iterator[Callable[[], Told]]:
        """A function that tells of a task; clients that follow it at the same time share its looks."""
        with self._lock:
            followed = self._followed.setdefault(task_id, _Followed())
            followed.clients += 1
        try:
            yield lambda: self._shared(task_id, followed)
        finally:
            with self._lock:
                followed.clients -= 1
                if not followed.clients:
                    del self._followed[task_id]

    def _shared(self, task_id: str, followed: _Followed) -> Told:
        with followed.lock:
            now = time.monotonic()
            if followed.told is None or followed.looked_at is None or now - followed.looked_at >= self.every_s:
                followed.told, followed.looked_at = self.look(task_id), now
            return followed.told
