"""New limits for a task that has ended: what changes with them is reopened (ADR 32)."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, FromClause, case, false, func, select, update

from face_import.catalogue.engine import reading, snapshot
from face_import.catalogue.journal import note_removals
from face_import.catalogue.ledger import insert_outcomes
from face_import.catalogue.measured import BY_LIMITS, UNMEASURED, verdict_of
from face_import.catalogue.records import ImportTask
from face_import.catalogue.reopening import Part, check_ended, check_stopped, delete_outcomes, portions, stop
from face_import.catalogue.schema import MEASURED, UNDONE, import_task, outcome, sent, tally
from face_import.contract import Code, Reason
from face_import.domain.identity import made_face_id
from face_import.domain.limits import Missing, judge, reason_of
from face_import.domain.models import Limits, Measurements, Outcome, OutcomeBatch, Removal, Sent
from face_import.errors import WrongState

JUDGE_ROWS = 2_000
"""Rows of one transaction; each costs much more than one that is only reopened."""
_MEASURED = (*MEASURED, "pose_unknown")


class Fate(IntEnum):
    """What becomes of a row under new limits; none of the others is touched.

    Attributes:
        REOPENED: it may pass, and is imported, or for a dry run measured again.
        REMOVED: its face does not pass, and is removed.
        REJUDGED: it has no face, and another verdict by what was measured.
        UNMEASURED: its face is imported, or was found good by a dry run, and the verdict depends on a measurement that
            was not made. It stays as it is.
    """

    REOPENED = 1
    REMOVED = 2
    REJUDGED = 3
    UNMEASURED = 4


_TOUCHED = (Fate.REOPENED, Fate.REMOVED, Fate.REJUDGED)


@dataclass(frozen=True, slots=True)
class Affected:
    """Rows of a task by what becomes of them under new limits (`Fate`)."""

    reopened: int = 0
    removed: int = 0
    rejudged: int = 0
    unmeasured: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """What is new about a task.

    Attributes:
        limits: by name; the others stay.
        real: whether a dry run is made a real one.
    """

    limits: Mapping[str, int]
    real: bool = False


class NewLimits:
    """Gives tasks that have ended new limits.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def count(self, task_id: str, changed: Changed) -> Affected:
        """Count the rows that new limits concern.

        Raises:
            TaskNotFound: there is no such task.
            WrongState: it is running, or was never started.
        """
        with snapshot(self._engine).begin() as connection:
            limits, dry = _under(check_ended(connection, task_id), changed)
            fate = _fate_of(task_id, limits, dry=dry)
            counts = [func.count().filter(fate.c.fate == kind).label(kind.name.lower()) for kind in Fate]
            return Affected(**connection.execute(select(*counts)).mappings().one())

    def apply(self, task_id: str, changed: Changed) -> Affected:
        """Give a task new limits, and reopen what changes with them, some thousands of rows in a transaction.

        The first one records the limits and stops the task, unless nothing changes. So a call that is cut short leaves
        a task whose next start does what was reopened under the new limits, and that can be given them again for the
        rest. The last one makes a dry run real: before, a start of what is reopened would be one more dry run.

        Returns:
            how many rows there were.

        Raises:
            TaskNotFound: there is no such task, or it was deleted meanwhile.
            WrongState: it is running, was never started, or was started or given other limits meanwhile.
        """
        affected = self.count(task_id, changed)
        rows = affected.reopened + affected.removed + affected.rejudged
        with self._engine.begin() as connection:
            task = check_ended(connection, task_id, lock=True)
            limits, dry = _under(task, changed)
            if rows:
                stop(connection, task_id, _cut_short(rows), **asdict(limits))
            else:
                _set(connection, task_id, **asdict(limits), dry_run=int(dry))
                return affected
        for parts in self._portions(task_id):
            self._apply_some(task_id, parts, limits, dry=dry)
        with self._engine.begin() as connection:
            _check(connection, task_id, limits)
            _set(connection, task_id, dry_run=int(dry))
        return affected

    def _portions(self, task_id: str) -> Iterator[list[Part]]:
        with self._reader.begin() as connection:
            return portions(connection, task_id, tally.c.code.in_([Code.OK, *BY_LIMITS]), JUDGE_ROWS)

    def _apply_some(self, task_id: str, parts: list[Part], limits: Limits, *, dry: bool) -> None:
        with self._engine.begin() as connection:
            _check(connection, task_id, limits)
            for part in parts:
                _apply_part(connection, task_id, part, limits, dry=dry)


def _under(task: ImportTask, changed: Changed) -> tuple[Limits, bool]:
    """The limits that a task gets, and whether it stays a dry run; an undo has none."""
    if task.config.undoes:
        raise WrongState(f"task {task.id} is the undo of task {task.config.undoes}; it has no limits")
    return replace(task.config.limits, **changed.limits), bool(task.config.scope.dry_run) and not changed.real


def _cut_short(rows: int) -> str:
    what = f"{rows} row{'s' * (rows != 1)}"
    return (
        f"a change of limits that concerns {what} was cut short; apply the limits again for all of them, or start the "
        "task for those that it has reopened"
    )


def _check(connection: Connection, task_id: str, limits: Limits) -> None:
    if check_stopped(connection, task_id).config.limits != limits:
        raise WrongState(f"task {task_id} was given other limits meanwhile")


def _set(connection: Connection, task_id: str, **values: int) -> None:
    connection.execute(update(import_task).where(import_task.c.id == task_id).values(values))


def _apply_part(connection: Connection, task_id: str, part: Part, limits: Limits, *, dry: bool) -> None:
    number, first, last = part
    between = outcome.c.row.between(first, last)
    fate = _fate_of(task_id, limits, between, dry=dry)
    query = select(outcome, fate.c.fate, sent.c.face_id.label("noted_id")).join(fate, fate.c.row == outcome.c.row)
    query = query.outerjoin(sent, (sent.c.task_id == task_id) & (sent.c.row == outcome.c.row))
    query = query.where(outcome.c.task_id == task_id, between, fate.c.fate.in_(_TOUCHED))
    touched = connection.execute(query).all()
    faces = [_face(task_id, row) for row in touched if row.fate == Fate.REMOVED]
    removed = note_removals(connection, task_id, faces)
    faceless = {row.row for row in touched if row.fate == Fate.REJUDGED} | ({face.row for face in faces} - removed)
    rejudged = [_rejudged(task_id, row, limits) for row in touched if row.row in faceless]
    rows = outcome.c.row.in_([row.row for row in touched])
    delete_outcomes(connection, task_id, number, outcome.c.task_id == task_id, between, rows)
    if rejudged:
        insert_outcomes(connection, OutcomeBatch(task_id, number, "", tuple(rejudged)), rejudged)


def _face(task_id: str, row: Any) -> Sent:
    return Sent(row.row, row.face_id, b"", Removal(task_id, row.handled_at, _measured_of(row)))


def _rejudged(task_id: str, row: Any, limits: Limits) -> Outcome:
    """The row's new outcome; an add that may have been sent stays in the journal, and in the message."""
    made_id = made_face_id(task_id, row.row)
    doubted = row.noted_id or (made_id if repr(made_id) in row.message else "")
    judged = _judged(row, limits)
    return judged.in_doubt(doubted) if doubted else judged


def _judged(row: Any, limits: Limits) -> Outcome:
    measured = _measured_of(row)
    found = judge(measured, limits)
    if found is None or isinstance(found, Missing):
        return Outcome(row.row, row.uri, Code.OK, measurements=measured)
    code, text = found
    return Outcome(row.row, row.uri, code, text, measurements=measured, reason=reason_of(code, measured))


def _measured_of(row: Any) -> Measurements:
    return Measurements(**{name: getattr(row, name) for name in _MEASURED})


def _fate_of(task_id: str, limits: Limits, *which: ColumnElement[bool], dry: bool) -> FromClause:
    """Each row with its fate, 0 if it is not touched."""
    columns = (outcome.c.row, outcome.c.code, outcome.c.reason, outcome.c.face_id, outcome.c.message)
    judged = select(*columns, verdict_of(limits).label("verdict")).where(outcome.c.task_id == task_id, *which)
    row = judged.offset(0).subquery().c  # which makes SQLite compute the verdict once, not wherever it is used
    good, faceless = row.code == Code.OK, row.face_id == ""
    by_limit = row.code.in_(BY_LIMITS) & (row.reason != Reason.REFUSED)
    unmeasured = row.verdict == UNMEASURED
    fate = case(
        (good & row.message.startswith(UNDONE), 0),
        (good & ~faceless, case((row.verdict == Code.OK, 0), (unmeasured, Fate.UNMEASURED), else_=Fate.REMOVED)),
        (~good & ~by_limit, 0),
        (unmeasured & good if dry else false(), Fate.UNMEASURED),
        (unmeasured, Fate.REOPENED),
        (false() if dry else row.verdict == Code.OK, Fate.REOPENED),
        (row.verdict == row.code, 0),
        else_=Fate.REJUDGED,
    )
    return select(row.row, fate.label("fate")).subquery()
