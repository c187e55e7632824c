"""The journal of adds, so that doubt about an add is confined to one row (ADR 20), and of removals (32).

An entry is written before the row's add is sent, and removed with the row's outcome. Entries left by a try that died
are in doubt: the face may be in the group. An outcome that leaves this open keeps its entry, for a retry of the row.
Made ids need no entry, since a face under one can only come from its row, unless the import is guarded (ADR 33).

The entry of a removal says that a face is to be deleted. Of two imports that want to use an id, one to add a face and
the other to delete its own, the one whose entry is there first does, and the other one learns of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    TextClause,
    bindparam,
    delete,
    literal,
    select,
    update,
)

from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.schema import OWN_ID, import_task, outcome, sent, shard
from face_import.contract import Code
from face_import.domain.identity import maker_of
from face_import.domain.models import Measurements, Outcome, Removal, Sent
from face_import.errors import LeaseLost

_MEASURED = [measurement.name for measurement in fields(Measurements)]


class Holder(NamedTuple):
    """Another row that may have added a face to the group under an id.

    Attributes:
        settled: whether the ledger says that it did; otherwise its add may be in flight.
    """

    task_id: str
    row: int
    settled: bool


class Journal:
    """Writes and reads the journal.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def note(self, task_id: str, number: int, owner: str, adds: Sequence[Sent]) -> dict[int, Holder]:
        """Record adds and removals of a shard that are about to be sent, in one transaction; existing entries are kept.

        Not so those of a recurring import's rows whose face has another id than before: the one before is deleted.

        Args:
            task_id: the import task.
            number: the shard.
            owner: the task instance that holds the shard's lease.
            adds: the rows, each once.

        Returns:
            The rows that may not be sent, with the holders of their ids: a row of the same file whose add is not
            settled, the row that an import would generate this id for, or the row of another import that is removing
            its face. For removals: a row that has added another face under the id since, or may be doing so.

        Raises:
            LeaseLost: another try owns the shard, or the task was deleted.
        """
        upsert = upsert_for(self._engine.dialect)
        removals = [replace(a, removal=replace(a.removal, tried=True)) for a in adds if a.removal is not None]
        adds = [a for a in adds if a.removal is None] + removals
        with self._engine.begin() as connection:
            check_lease(connection, task_id, number, owner)
            refused = _makers(connection, task_id, [a for a in adds if a.removal is None])
            refused |= _removers(connection, task_id, [a for a in adds if a.removal is None])
            refused |= _successors(connection, task_id, removals)
            _forget_replaced(connection, task_id, [a for a in adds if a.removal is None and a.row not in refused])
            if values := [_values(task_id, a) for a in adds if a.row not in refused]:
                connection.execute(upsert(sent).on_conflict_do_nothing(), values)
            if tried := [
                {"number": a.row, "its": _values(task_id, a)["removal"]} for a in removals if a.row not in refused
            ]:
                noted = update(sent).where(sent.c.task_id == task_id, sent.c.row == bindparam("number"))
                noted = noted.where(sent.c.removal.is_not(None)).values(removal=bindparam("its"))
                connection.execute(noted, tried)
            ids = [a.face_id for a in adds]
            holders = select(sent.c.face_id, sent.c.row).where(sent.c.task_id == task_id, sent.c.face_id.in_(ids))
            first = dict(connection.execute(holders).all())
        twice = {a.row: first[a.face_id] for a in adds if first.get(a.face_id, a.row) != a.row}
        return {row: Holder(task_id, other, settled=False) for row, other in twice.items()} | refused

    def of_rows(self, task_id: str, first: int, last: int) -> dict[int, Sent]:
        """Entries of the rows from `first` to `last`: adds that earlier tries may have sent."""
        query = select(sent.c.row, sent.c.face_id, sent.c.digest, sent.c.removal)
        query = query.where(sent.c.task_id == task_id, sent.c.row.between(first, last))
        with self._reader.begin() as connection:
            found = connection.execute(query).all()
        return {row: Sent(row, face_id, digest, _removal(removal)) for row, face_id, digest, removal in found}

    def holder(self, task_id: str, row: int, face_id: str) -> Holder | None:
        """Another row, of this or another import into the same group, that may have added a face under an id.

        Imports of the same recurring entry do not count: they share their faces.
        """
        mine = select(import_task.c.group_name, import_task.c.entry).where(import_task.c.id == task_id).subquery()
        columns = import_task.c
        rival = (columns.group_name == mine.c.group_name) & ((columns.entry == "") | (columns.entry != mine.c.entry))
        holders: list[Holder] = []
        for table, settled in ((sent, None), (outcome, OWN_ID)):  # in the order in which a row passes through them
            query = select(table.c.task_id, table.c.row).join(import_task, columns.id == table.c.task_id)
            query = query.join(mine, rival).where(table.c.face_id == face_id)
            query = query.where((table.c.task_id != task_id) | (table.c.row != row))
            if settled is not None:
                query = query.where(settled)
            with self._reader.begin() as connection:
                holders += [Holder(*found, settled=settled is not None) for found in connection.execute(query.limit(1))]
        with self._reader.begin() as connection:
            maker = _makers(connection, task_id, [Sent(row, face_id, b"")]).get(row)
            if maker is not None:
                its = (outcome.c.task_id == maker.task_id) & (outcome.c.row == maker.row)
                added = connection.scalar(select(outcome.c.face_id).where(its, outcome.c.code == Code.OK))
                holders.append(maker._replace(settled=added == face_id))
        return holders[-1] if holders else None


def check_lease(connection: Connection, task_id: str, number: int, owner: str) -> None:
    """Make sure until the end of a transaction that a shard's lease is the owner's.

    Raises:
        LeaseLost: another try owns the shard, or the task was deleted.
    """
    lease = select(shard.c.lease_owner).where(shard.c.task_id == task_id, shard.c.number == number)
    if connection.scalar(lease.with_for_update(read=True)) != owner:
        raise LeaseLost(f"shard {number} of task {task_id} belongs to another try")


def _forget_replaced(connection: Connection, task_id: str, adds: Sequence[Sent]) -> None:
    """Delete entries of rows that add a face under another id now, and with them the turns of the faces before.

    Made ids of recurring imports change with the picture. A row of any other import keeps its id.
    """
    ours = (sent.c.task_id == task_id, sent.c.row.in_([a.row for a in adds]), sent.c.removal.is_(None))
    noted = dict(connection.execute(select(sent.c.row, sent.c.face_id).where(*ours)).all())
    replaced = [a.row for a in adds if noted.get(a.row, a.face_id) != a.face_id]
    if replaced and connection.scalar(select(import_task.c.entry).where(import_task.c.id == task_id)):
        connection.execute(delete(sent).where(*ours, sent.c.row.in_(replaced)))


def _makers(connection: Connection, task_id: str, adds: Sequence[Sent]) -> dict[int, Holder]:
    """Rows whose own id has the form of a made one, which must remain proof of who added a face."""
    made = {a.row: maker for a in adds if (maker := maker_of(a.face_id)) and maker != (task_id, a.row)}
    if not made:
        return {}
    ids = {maker for maker, _ in made.values()}
    known = set(connection.scalars(select(import_task.c.id).where(import_task.c.id.in_(ids))))
    return {row: Holder(*maker, settled=False) for row, maker in made.items() if maker[0] in known}


def _removers(connection: Connection, task_id: str, adds: Sequence[Sent]) -> dict[int, Holder]:
    """Rows of other imports into the group that are removing faces under these ids.

    A row that noted its add before they did is not kept from it: they leave the face alone then.
    """
    removing = _of_ids(connection, task_id, adds, sent, sent.c.removal.is_not(None) & (sent.c.task_id != task_id))
    if not removing:
        return {}
    ours = select(sent.c.row).where(sent.c.task_id == task_id, sent.c.row.in_([a.row for a in adds]))
    noted = set(connection.scalars(ours))
    refused = {a.row: removing[a.face_id][0] for a in adds if a.face_id in removing and a.row not in noted}
    return {row: Holder(by.task_id, by.row, settled=False) for row, by in refused.items()}


def _successors(connection: Connection, task_id: str, removals: Sequence[Sent]) -> dict[int, Holder]:
    """Rows, of any import into the group, that have added a face under one of these ids after the one to remove.

    Or that may be adding one: these are found first, since a row passes from the journal to the ledger.
    """
    adding = _of_ids(connection, task_id, removals, sent, sent.c.removal.is_(None) & (sent.c.task_id != task_id))
    added = _of_ids(connection, task_id, removals, outcome, OWN_ID)
    found: dict[int, Holder] = {}
    for a in removals:
        for by in adding.get(a.face_id, []):
            found[a.row] = Holder(by.task_id, by.row, settled=False)
        for by in added.get(a.face_id, []):
            if a.removal and by.handled_at > a.removal.added_at and (by.task_id, by.row) != (a.removal.added_by, a.row):
                found[a.row] = Holder(by.task_id, by.row, settled=True)
    return found


def _of_ids(
    connection: Connection, task_id: str, adds: Sequence[Sent], table: Table, which: ColumnElement[bool] | TextClause
) -> dict[str, list[Any]]:
    """Rows of imports into the task's group by face id, for these ids."""
    if not adds:
        return {}
    at = table.c.handled_at if table is outcome else literal(0.0)
    query = (
        select(table.c.face_id, table.c.task_id, table.c.row, at.label("handled_at"), import_task.c.group_name)
        .join(import_task, import_task.c.id == table.c.task_id)
        .where(table.c.face_id.in_([a.face_id for a in adds]), which)
    )
    rows = connection.execute(query).all()
    group = rows and connection.scalar(select(import_task.c.group_name).where(import_task.c.id == task_id))
    found: dict[str, list[Any]] = {}
    for row in rows:
        if row.group_name == group:  # as a condition, it could be what the database begins with
            found.setdefault(row.face_id, []).append(row)
    return found


def note_removals(connection: Connection, task_id: str, faces: Sequence[Sent]) -> set[int]:
    """Record that faces of an ended task are to be removed.

    Another row with the same id may have a doubtful add on record. It makes way: if its face is in the group, it is the
    one to remove, and the row's outcome still says that it may be.

    Returns:
        The rows for which this is recorded: of several with one id, which can have no more than one face, the first.
    """
    if not faces:
        return set()
    ids = sent.c.face_id.in_([face.face_id for face in faces])
    connection.execute(delete(sent).where(sent.c.task_id == task_id, ids, sent.c.removal.is_(None)))
    statement = upsert_for(connection.dialect)(sent).on_conflict_do_nothing()
    connection.execute(statement, [_values(task_id, face) for face in faces])
    noted = select(sent.c.row).where(sent.c.task_id == task_id, ids)
    return set(connection.scalars(noted)) & {face.row for face in faces}


def _values(task_id: str, entry: Sent) -> dict[str, object]:
    removal = None
    if (known := entry.removal) is not None:  # as `asdict`, without its deep copies: there may be millions
        measured = {name: getattr(known.measured, name) for name in _MEASURED}
        removal = {"added_by": known.added_by, "added_at": known.added_at, "measured": measured, "tried": known.tried}
    return {"task_id": task_id, "row": entry.row, "face_id": entry.face_id, "digest": entry.digest, "removal": removal}


def _removal(stored: Mapping[str, Any] | None) -> Removal | None:
    return None if stored is None else Removal(**{**stored, "measured": Measurements(**stored["measured"])})


def strike_out(connection: Connection, task_id: str, outcomes: Sequence[Outcome]) -> None:
    """Remove the entries of rows whose outcome settles their add, in the same transaction."""
    rows = [o.row for o in outcomes if o.code != Code.LIBRARY_UNAVAILABLE and not o.is_open]
    if rows:
        ours = sent.c.row.between(min(rows), max(rows)) & sent.c.row.in_(rows)  # the range: see `ledger._unwritten`
        connection.execute(delete(sent).where(sent.c.task_id == task_id, ours))
