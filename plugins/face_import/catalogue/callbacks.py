"""Callbacks: who wants to be told that a task has ended, written with the end itself, and what became of the calls.

The transaction that stops or completes a task also writes the call to make, so that no crash loses one and none tells
of something that did not happen. Each attempt ends at most once, so it has at most one call. A sender *claims* a call
by making it due later, when whoever claimed it must be dead: so a call is made at least once, and by one at a time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, case, func, insert, literal, select, update

from face_import.catalogue.engine import reading
from face_import.catalogue.progress import progress_of, summary
from face_import.catalogue.records import load
from face_import.catalogue.schema import callback, import_task, now
from face_import.contract import CallState, Event, TaskState

PER_ORIGIN = 4
"""Calls at a time to one host, so that one that hangs does not hold up those to others."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is claimed.

    Attributes:
        id: the same at every try.
        url: may contain secrets: not for logs.
        origin: host and port of the URL.
        data: the task in short, as it was when it ended.
        ended_at: when it ended, in seconds since the epoch.
        tries: number of tries with this one.
    """

    task_id: str
    attempt: int
    id: str
    url: str
    origin: str
    event: Event
    data: dict[str, Any]
    ended_at: float
    tries: int


@dataclass(frozen=True, slots=True)
class LastCall:
    """What became of the call for a task's last end.

    Attributes:
        answer: how the last try ended, empty if that is not known.
        due_at: when it is tried next, or again if nothing is heard of the try that is under way; else None.
    """

    state: CallState
    event: Event | None = None
    id: str | None = None
    tries: int = 0
    tried_at: float | None = None
    answer: str = ""
    due_at: float | None = None


NO_CALL = LastCall(CallState.NONE)
"""Before the task has ended for the first time."""


def note_end(connection: Connection, task_id: str) -> None:
    """Write down that a task's callback is to be called, in the transaction that stops or completes the task."""
    task = load(connection, task_id)
    if not task.config.callback_url:
        return
    event = Event.COMPLETED if task.state == TaskState.COMPLETED else Event.STOPPED
    values = {
        "task_id": task.id,
        "attempt": task.attempt,
        "id": str(uuid4()),
        "event": event,
        "data": summary(task, progress_of(connection, task.id)),
        "origin": origin_of(task.config.callback_url),
        "ended_at": now(),
        "due_at": now(),
    }
    connection.execute(insert(callback).values(values))


def origin_of(url: str) -> str:
    """Host and port of a URL, in lower case. Never fails, as `urlsplit` does: nothing may keep a task from ending."""
    return re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2].lower()[:300]


class Callbacks:
    """Claims calls and records how they ended.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def claim(self, at_most: int, lease_s: float, *, busy: Mapping[str, int] | None = None) -> list[Call]:
        """Claim calls that are due, the longest overdue first; those of deleted tasks are dropped.

        Args:
            at_most: how many.
            lease_s: seconds after which a call is due again if nobody has settled it.
            busy: calls that the sender has under way, by origin.
        """
        columns = callback.c
        rank = func.row_number().over(partition_by=columns.origin, order_by=columns.due_at)
        under_way = case(busy, value=columns.origin, else_=0) if busy else literal(0)
        place = (rank + under_way).label("place")
        ripe = (
            select(columns.task_id, columns.attempt, columns.due_at, import_task.c.callback_url, place)
            .join(import_task, import_task.c.id == columns.task_id)
            .where(columns.due_at <= now(), import_task.c.deleted_at.is_(None))
            .subquery()
        )
        query = select(ripe).where(ripe.c.place <= PER_ORIGIN).order_by(ripe.c.due_at).limit(at_most)
        with self._reader.begin() as connection:  # no write transaction in the rounds without work
            found = connection.execute(query).all()
        if not found:
            return []
        taken = {"tries": columns.tries + 1, "tried_at": now(), "answer": "", "due_at": now() + lease_s}
        calls = []
        with self._engine.begin() as connection:
            for task_id, attempt, _, url, _ in found:
                which = (columns.task_id == task_id, columns.attempt == attempt, columns.due_at <= now())
                row = connection.execute(
                    update(callback)
                    .where(*which)
                    .values(taken)
                    .returning(
                        *(columns.id, columns.origin, columns.event, columns.data, columns.ended_at, columns.tries)
                    )
                ).one_or_none()
                if row is not None:  # else another sender has claimed it since
                    origin, event, data, ended_at, tries = row[1:]
                    calls.append(Call(task_id, attempt, row.id, url, origin, Event(event), data, ended_at, tries))
        return calls

    def delivered(self, call: Call, answer: str) -> None:
        """Record that a call has arrived; whoever tries it at the same time need not have the last word."""
        with self._engine.begin() as connection:
            connection.execute(update(callback).where(*_its(call)).values(delivered=True, answer=answer, due_at=None))

    def failed(self, call: Call, answer: str, again_in_s: float | None) -> None:
        """Record that a try has failed, unless the call was claimed again meanwhile or has arrived.

        Args:
            call: the call.
            answer: why.
            again_in_s: when it is tried again; None gives it up.
        """
        due_at = None if again_in_s is None else now() + again_in_s
        ours = (callback.c.tries == call.tries, callback.c.due_at.is_not(None))
        with self._engine.begin() as connection:
            connection.execute(update(callback).where(*_its(call), *ours).values(answer=answer, due_at=due_at))

    def last(self, task_id: str) -> LastCall | None:
        """What became of the call for a task's last end; None if it has not ended so far."""
        columns = callback.c
        query = select(callback).where(columns.task_id == task_id).order_by(columns.attempt.desc()).limit(1)
        with self._reader.begin() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        pending = CallState.PENDING if row.due_at is not None else CallState.GIVEN_UP
        state = CallState.DELIVERED if row.delivered else pending
        return LastCall(state, Event(row.event), row.id, row.tries, row.tried_at, row.answer, row.due_at)


def _its(call: Call) -> tuple[Any, ...]:
    # by its id, too: a task may have the id of one that was deleted since
    return callback.c.task_id == call.task_id, callback.c.attempt == call.attempt, callback.c.id == call.id
