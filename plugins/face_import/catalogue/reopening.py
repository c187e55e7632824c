"""Reopening: outcomes of an ended task go back to unhandled, and its next start does what is left (decision 24)."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, String, case, cast, delete, func, literal, or_, select, update

from face_import.catalogue.attempts import check_undo_conflict
from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.records import ImportTask, load
from face_import.catalogue.schema import FAILED, import_task, now, outcome, sent, shard, tally
from face_import.catalogue.tasks import STATE_WORDS
from face_import.contract import Code, TaskState
from face_import.domain.failed_rows import FailedRows
from face_import.domain.row_spans import ALL_ROWS, Spans, common
from face_import.errors import TaskNotFound, WrongState

REOPEN_ROWS = 20_000
"""Rows of one transaction."""
SHORT_S, PAUSE_S = 0.1, 0.15
"""Seconds of a transaction that needs no pause after it, and the least pause after a longer one: a process that has
waited for SQLite's lock so long tries to get it only ten times a second."""
Part = tuple[int, int, int]
"""A shard's number, and the first and last of some of its rows."""


class Reopening:
    """Reopens rows of tasks that have ended.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def check(self, task_id: str) -> None:
        """Check that the rows of a task can be reopened.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running, or was never started.
        """
        with self._reader.begin() as connection:
            check_ended(connection, task_id)

    def count(self, task_id: str, wanted: FailedRows) -> int:
        """How many failed rows match.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running, or was never started.
        """
        query = select(func.count()).select_from(outcome).where(outcome.c.task_id == task_id, *_matching(wanted))
        if wanted.spans:
            query = query.where(or_(*(outcome.c.row.between(*span) for span in wanted.spans)))
        with self._reader.begin() as connection:
            check_ended(connection, task_id)
            return connection.scalar(query) or 0

    def reopen(self, task_id: str, wanted: FailedRows) -> int:
        """Reopen the failed rows that match, some thousands in a transaction.

        The task is stopped by the first one, so that a call that is cut short leaves a task that says what happened,
        and that can be started, or whose rows can be reopened again. What is known of adds that may have been sent is
        kept: those under own ids are in the journal, and those under made ids are noted there now.

        Returns:
            how many there were.

        Raises:
            TaskNotFound: there is no such task, or it was deleted meanwhile.
            WrongState: it is running, was never started, or was started meanwhile.
        """
        rows = self.count(task_id, wanted)
        if not rows:
            return 0
        what = f"{rows} row{'s' * (rows != 1)}"
        text = f"a retry of {what} was cut short; start the task to import those that it reopened, or retry again"
        with self._engine.begin() as connection:
            check_ended(connection, task_id, lock=True)
            stop(connection, task_id, text)
        return sum(self._reopen_some(task_id, parts, wanted) for parts in self._portions(task_id, wanted))

    def _portions(self, task_id: str, wanted: FailedRows) -> Iterator[list[Part]]:
        code = tally.c.code.in_(wanted.codes) if wanted.codes else tally.c.code != Code.OK
        with self._reader.begin() as connection:
            return portions(connection, task_id, code, REOPEN_ROWS, wanted.spans)

    def _reopen_some(self, task_id: str, parts: list[Part], wanted: FailedRows) -> int:
        with self._engine.begin() as connection:
            task = check_stopped(connection, task_id)
            keeps_doubt = task.config.journals
            return sum(_reopen_part(connection, task_id, part, wanted, keeps_doubt=keeps_doubt) for part in parts)


def _reopen_part(connection: Connection, task_id: str, part: Part, wanted: FailedRows, *, keeps_doubt: bool) -> int:
    number, first, last = part
    ours = (outcome.c.task_id == task_id, outcome.c.row.between(first, last), *_matching(wanted))
    in_doubt = (tally.c.task_id == task_id, tally.c.shard == number, tally.c.code == Code.LIBRARY_UNAVAILABLE)
    if keeps_doubt and connection.scalar(select(tally.c.rows).where(*in_doubt)):
        _note_made_ids(connection, ours)
    return delete_outcomes(connection, task_id, number, *ours)


def delete_outcomes(connection: Connection, task_id: str, number: int, *which: ColumnElement[bool]) -> int:
    """Delete outcomes of a shard, and change its tallies accordingly; returns how many there were."""
    by_code = Counter(connection.scalars(delete(outcome).where(*which).returning(outcome.c.code)))
    if by_code:
        counted = (tally.c.task_id == task_id, tally.c.shard == number)
        less = tally.c.rows - case(dict(by_code), value=tally.c.code)
        connection.execute(update(tally).where(*counted, tally.c.code.in_(by_code)).values(rows=less))
        connection.execute(delete(tally).where(*counted, tally.c.rows <= 0))
    return by_code.total()


def _note_made_ids(connection: Connection, rows: tuple[ColumnElement[bool], ...]) -> None:
    """Note the adds under made ids that may have been sent; those under own ids are noted already."""
    made_id = outcome.c.task_id + literal("-") + cast(outcome.c.row, String)
    noted = select(outcome.c.task_id, outcome.c.row, made_id, literal(b"")).where(
        *rows, outcome.c.code == Code.LIBRARY_UNAVAILABLE
    )
    upsert = upsert_for(connection.dialect)(sent)
    columns = ["task_id", "row", "face_id", "digest"]
    connection.execute(upsert.from_select(columns, noted).on_conflict_do_nothing())


def check_ended(connection: Connection, task_id: str, *, lock: bool = False) -> ImportTask:
    """The task, whose rows can be reopened; `lock` locks it.

    Raises:
        TaskNotFound: there is no such task.
        WrongState: it is running, or was never started.
    """
    task = load(connection, task_id, lock=lock)
    if task.deleted_at is not None:
        raise TaskNotFound(f"there is no task {task_id!r}")
    if task.state not in {TaskState.STOPPED, TaskState.COMPLETED}:
        raise WrongState(f"task {task_id} is {STATE_WORDS[task.state]}; rows are retried after it has ended")
    check_undo_conflict(connection, task, lock=lock)
    return task


def check_stopped(connection: Connection, task_id: str) -> ImportTask:
    """The task, locked, which `stop` has stopped.

    Raises:
        TaskNotFound: it was deleted.
        WrongState: it was started meanwhile.
    """
    task = load(connection, task_id, lock=True)
    if task.deleted_at is not None:
        raise TaskNotFound(f"there is no task {task_id!r}")
    if task.state != TaskState.STOPPED:
        raise WrongState(f"task {task_id} was started meanwhile; retry what is left when it has ended")
    return task


def stop(connection: Connection, task_id: str, text: str, **values: Any) -> None:
    """Stop an ended task before the first of its rows is reopened, with what its last error is if that is cut short."""
    values |= {"state": TaskState.STOPPED, "stopped_at": now(), "finished_at": None, "last_error": text}
    connection.execute(update(import_task).where(import_task.c.id == task_id).values(values))


def _matching(wanted: FailedRows) -> list[ColumnElement[bool]]:
    """Conditions on a row but for its number."""
    matching: list[ColumnElement[bool]] = [FAILED]
    if wanted.codes:
        matching.append(outcome.c.code.in_(wanted.codes))
    if wanted.reasons:
        matching.append(outcome.c.reason.in_(wanted.reasons))
    return matching


def portions(
    connection: Connection, task_id: str, code: ColumnElement[bool], rows: int, spans: Spans = ()
) -> Iterator[list[Part]]:
    """All shards that have rows with such codes by their tallies, in portions of fewer than twice `rows` rows.

    Each portion is for one transaction, and comes so long after the one before that other imports write in between.

    Args:
        connection: for the shards, which are read at once.
        task_id: the import task.
        code: a condition on tallies.
        rows: about how many rows a portion has.
        spans: only rows in one of these ranges; empty for all.
    """
    concerned = select(tally.c.shard).where(tally.c.task_id == task_id, code)
    query = (
        select(shard.c.number, shard.c.first_row, shard.c.first_row + shard.c.rows - 1)
        .where(shard.c.task_id == task_id, shard.c.number.in_(concerned))
        .order_by(shard.c.number)
    )
    parts = _parts(connection.execute(query).all(), rows, spans or ALL_ROWS)
    return _with_pauses(_portions(parts, rows))


def _with_pauses(portions: Iterable[list[Part]]) -> Iterator[list[Part]]:
    """Leave the database to others for as long as each portion took, unless that was short."""
    took = 0.0
    for portion in portions:
        if took > SHORT_S:
            time.sleep(max(PAUSE_S, took))
        began = time.monotonic()
        yield portion
        took = time.monotonic() - began


def _portions(parts: Iterable[Part], rows: int) -> Iterator[list[Part]]:
    portion: list[Part] = []
    size = 0
    for part in parts:
        portion.append(part)
        size += part[2] - part[1] + 1
        if size >= rows:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _parts(shards: Iterable[Any], rows: int, spans: Spans) -> Iterator[Part]:
    """The wanted ranges of the shards, in parts of at most `rows` rows.

    A query of rows in one of these and in one of the wanted ranges would make SQLite read all of the latter.
    """
    for number, first, last in shards:
        for begin in range(first, last + 1, rows):
            end = min(last, begin + rows - 1)
            for span in common(spans, begin, end):
                yield number, *span
