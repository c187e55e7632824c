"""Holdings: what recurring imports have in their groups, to import only changes (docs/how-to/recurring.md).

Each step of replacing a face is recorded: `reserve` that the old face is being deleted, or that there is none and the
new one is being added; `adding` that the old one is deleted and the new one is being added; `settle_holdings`, in the
outcome's own transaction, that it is there. Only a face of a settled holding, or one under a made id, is ever deleted.
A face that a dead try may have added under an own id is looked up, and kept unless it proves ours.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import ColumnElement, Connection, Engine, ScalarSelect, and_, case, delete, func, or_, select, update

from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.leases import ENDING_S
from face_import.catalogue.records import ImportTask
from face_import.catalogue.schema import holding, import_task, now, shard
from face_import.contract import TaskState
from face_import.domain.models import Added, Change, Changes, Holding, Outcome, Sent

HELD = holding.c


class Holdings:
    """The holdings of one import task's entry in the task's group; every method is one short transaction.

    Args:
        engine: write engine of the catalogue.
        task: an import task with an entry.
    """

    def __init__(self, engine: Engine, task: ImportTask) -> None:
        self._engine = engine
        self._reader = reading(engine)
        self._entry, self._group, self._task_id = task.config.entry, task.config.group_name, task.id

    def find(self, key: bytes) -> Holding | None:
        """The holding for a key, or None."""
        query = select(*(HELD[field.name] for field in fields(Holding))).where(self._is(key))
        with self._reader.begin() as connection:
            found = connection.execute(query).one_or_none()
            return None if found is None else Holding(*found)

    def confirm(self, held: Holding, row: int) -> bool:
        """Record that a row is unchanged, with the host's latest validator of its image, and the image's digest.

        Returns:
            False if another row has the key, or the holding has changed meanwhile.
        """
        change = update(holding).where(self._is(held.key), self._is_free(row))
        change = change.where(HELD.digest == held.digest, ~HELD.pending)
        values = {name: getattr(held, name) for name in ("cells", "validator", "shaky", "picture")}
        with self._engine.begin() as connection:
            return connection.execute(change.values(values | self._claim(row))).rowcount == 1

    def reserve(self, key: bytes, row: int, *, was: bytes, adding: Sent | None, picture: bytes | None = None) -> bool:
        """Record that a row's face is about to be replaced or added.

        Args:
            key: the row's.
            row: the row's number.
            was: the digest found before, empty if there was none.
            adding: what is added next; None if the old face is deleted first.
            picture: digest of the image that is to replace the old face's, which is given up if it is another one.
                None if nothing replaces it.

        Returns:
            False if another row of this import has the key, or one that a running import is handling, or if the
            holding has changed meanwhile.
        """
        upsert = upsert_for(self._engine.dialect)
        claim = self._claim(row) | {"pending": True, **_of_add(adding)}
        where = {"entry": self._entry, "group_name": self._group, "key": key}
        nothing = {"face_id": "", "digest": b"", "cells": b"", "validator": "", "shaky": False}
        statement = upsert(holding).values({**where, **nothing, **claim})
        if picture is not None:
            claim["picture"] = case((HELD.picture == picture, HELD.picture), else_=b"")
        statement = statement.on_conflict_do_update(
            index_elements=[HELD.entry, HELD.group_name, HELD.key],
            set_=claim,
            where=and_(self._is_free(row), HELD.digest == was),
        )
        with self._engine.begin() as connection:
            return connection.scalar(statement.returning(HELD.row)) is not None

    def adding(self, key: bytes, add: Sent, *, shaky: bool) -> None:
        """Record that the old face of a reserved row is deleted, and that the new one is added next."""
        with self._engine.begin() as connection:
            change = update(holding).where(self._is(key), self._is_mine(add.row), HELD.pending)
            connection.execute(change.values(**_of_add(add), shaky=shaky))

    def take_over(self, added: Added, row: int, *, of: str) -> bool:
        """Record that a row of an undo is about to delete the face that a row of the undone import has added.

        Args:
            added: the face.
            row: the row of the undo.
            of: the undone import.

        Returns:
            False if another import has replaced or confirmed the face since, or if a new one was being added in its
            place. A removal that the undone import has begun is finished by the undo.
        """
        theirs = and_(HELD.task_id == of, HELD.row == added.row, HELD.sent_id == "")
        change = update(holding).where(self._is(added.key), or_(self._is_mine(row), theirs))
        values = {"task_id": self._task_id, "row": row, "pending": True, **_of_add(None)}
        with self._engine.begin() as connection:
            return connection.execute(change.values(values)).rowcount == 1

    def hand_back(self, added: Added, row: int, *, to: str) -> None:
        """Record that a face that was taken over stays: its holding is that of the undone import again."""
        change = update(holding).where(self._is(added.key), self._is_mine(row), HELD.pending)
        with self._engine.begin() as connection:
            connection.execute(change.values(task_id=to, row=added.row, pending=False))

    def keep(self, key: bytes, row: int) -> None:
        """Record that the old face of a reserved row stays for the time being: it was not deleted."""
        with self._engine.begin() as connection:
            change = update(holding).where(self._is(key), self._is_mine(row), HELD.pending)
            connection.execute(change.values(pending=False))

    def give_up_picture(self, held: Holding) -> None:
        """Record that a row keeps no other one from the image of its face, which is to be replaced."""
        with self._engine.begin() as connection:
            change = update(holding).where(self._is(held.key), HELD.digest == held.digest)
            connection.execute(change.values(picture=b""))

    def release(self, key: bytes, row: int) -> None:
        """Record that the library has no face of this row: it refused the new one."""
        with self._engine.begin() as connection:
            connection.execute(delete(holding).where(self._is(key), self._is_mine(row), HELD.pending))

    def see(self, key: bytes) -> None:
        """Record that the file has this row, whatever its outcome."""
        with self._engine.begin() as connection:
            connection.execute(update(holding).where(self._is(key)).values(seen_by=self._task_id))

    def _is(self, key: bytes) -> ColumnElement[bool]:
        return and_(HELD.entry == self._entry, HELD.group_name == self._group, HELD.key == key)

    def _is_mine(self, row: int) -> ColumnElement[bool]:
        return and_(HELD.task_id == self._task_id, HELD.row == row)

    def _is_free(self, row: int) -> ColumnElement[bool]:
        """Whether no other row of this import, and no other running or ending import, is handling it."""
        task = import_task.c
        of_group = select(task.id).where(task.group_name == self._group)
        running = of_group.where(task.state == TaskState.RUNNING, task.deleted_at.is_(None))
        ended_at = func.coalesce(task.deleted_at, task.stopped_at)
        working = of_group.join(shard, shard.c.task_id == task.id).where(shard.c.lease_until > now())
        ending = working.where(ended_at > now() - ENDING_S)
        given_up = and_(HELD.task_id.not_in(running), HELD.task_id.not_in(ending))
        theirs = and_(HELD.task_id != self._task_id, or_(~HELD.pending, given_up))
        return or_(self._is_mine(row), theirs)

    def _claim(self, row: int) -> dict[str, object]:
        return {"task_id": self._task_id, "row": row, "seen_by": self._task_id}


def _of_add(add: Sent | None) -> dict[str, object]:
    return {"sent_id": add.face_id if add else "", "sent_digest": add.digest if add else b""}


def settle_holdings(connection: Connection, task_id: str, number: int, outcomes: Sequence[Outcome]) -> None:
    """Update an entry's holdings by a shard's outcomes, and count its rows by change.

    Args:
        connection: the transaction that writes the outcomes; it holds the shard's row.
        task_id: the import task.
        number: the shard.
        outcomes: those that are new to the ledger.
    """
    changes = Counter(o.change for o in outcomes if o.change is not None)
    if changes:
        counts = {f"{change}_num": shard.c[f"{change}_num"] + rows for change, rows in changes.items()}
        connection.execute(update(shard).where(shard.c.task_id == task_id, shard.c.number == number).values(counts))
    held = [(o.row, o.holding) for o in outcomes if o.holding is not None]
    if not held:
        return
    whose = select(import_task.c.entry, import_task.c.group_name).where(import_task.c.id == task_id)
    entry, group = connection.execute(whose).one()
    for row, has in held:
        values = {name: getattr(has, name) for name in ("face_id", "digest", "cells", "validator", "shaky", "picture")}
        connection.execute(
            update(holding)
            .where(HELD.entry == entry, HELD.group_name == group, HELD.key == has.key)
            .where(HELD.task_id == task_id, HELD.row == row)
            .values(**values, pending=False, sent_id="", sent_digest=b"")
        )


def changes_of(connection: Connection, task_id: str) -> Changes:
    """Rows of a task by change."""
    counts = (func.coalesce(func.sum(shard.c[f"{change}_num"]), 0) for change in Change)
    gone = select(import_task.c.gone_num).where(import_task.c.id == task_id).scalar_subquery()
    query = select(*counts, func.coalesce(gone, 0)).where(shard.c.task_id == task_id)
    return Changes(*map(int, connection.execute(query).one()))


def count_gone() -> ScalarSelect[int]:
    """Number of rows of an import task's entry that are not in its file, for a statement on `import_task`."""
    same_entry = (HELD.entry == import_task.c.entry) & (HELD.group_name == import_task.c.group_name)
    had = and_(same_entry, HELD.digest != b"")
    had &= import_task.c.undoes == ""
    gone = select(func.count()).select_from(holding).where(had, HELD.seen_by != import_task.c.id)
    return gone.correlate(import_task).scalar_subquery()
