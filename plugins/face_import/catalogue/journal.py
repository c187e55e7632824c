"""The journal of adds under own ids, so that doubt about an add is confined to one row (ADR 20).

An entry is written before the row's add is sent, and removed with the row's outcome. Entries left by a try that died
are in doubt: the face may be in the group. An outcome that leaves this open (302) keeps its entry. Made ids need
no entry: a face under one can only come from its row.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, select

from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.schema import OWN_ID, import_task, outcome, sent, shard
from face_import.contract import Code
from face_import.domain.identity import maker_of
from face_import.domain.models import Outcome, Sent
from face_import.errors import LeaseLost


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
        """Record adds of a shard that are about to be sent, in one transaction; existing entries are kept.

        Args:
            task_id: the import task.
            number: the shard.
            owner: the task instance that holds the shard's lease.
            adds: the rows, each once, with ids from the file.

        Returns:
            The rows that may not be sent, with the holders of their ids: a row of the same file whose add is not
            settled, or the row that an import would generate this id for.

        Raises:
            LeaseLost: another try owns the shard, or the task was deleted.
        """
        upsert = upsert_for(self._engine.dialect)
        values = [{"task_id": task_id, "row": a.row, "face_id": a.face_id, "digest": a.digest} for a in adds]
        with self._engine.begin() as connection:
            lease = select(shard.c.lease_owner).where(shard.c.task_id == task_id, shard.c.number == number)
            if connection.scalar(lease.with_for_update(read=True)) != owner:
                raise LeaseLost(f"shard {number} of task {task_id} belongs to another try")
            makers = _makers(connection, task_id, adds)
            if values := [entry for entry in values if entry["row"] not in makers]:
                connection.execute(upsert(sent).on_conflict_do_nothing(), values)
            ids = [a.face_id for a in adds]
            holders = select(sent.c.face_id, sent.c.row).where(sent.c.task_id == task_id, sent.c.face_id.in_(ids))
            first = dict(connection.execute(holders).all())
        twice = {a.row: first[a.face_id] for a in adds if first.get(a.face_id, a.row) != a.row}
        return {row: Holder(task_id, other, settled=False) for row, other in twice.items()} | makers

    def of_rows(self, task_id: str, first: int, last: int) -> dict[int, Sent]:
        """Entries of the rows from `first` to `last`: adds that earlier tries may have sent."""
        query = select(sent.c.row, sent.c.face_id, sent.c.digest)
        query = query.where(sent.c.task_id == task_id, sent.c.row.between(first, last))
        with self._reader.begin() as connection:
            found = connection.execute(query).all()
        return {row: Sent(row, face_id, digest) for row, face_id, digest in found}

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


def _makers(connection: Connection, task_id: str, adds: Sequence[Sent]) -> dict[int, Holder]:
    """Rows whose own id has the form of a made one, which must remain proof of who added a face."""
    made = {a.row: maker for a in adds if (maker := maker_of(a.face_id)) and maker != (task_id, a.row)}
    if not made:
        return {}
    ids = {maker for maker, _ in made.values()}
    known = set(connection.scalars(select(import_task.c.id).where(import_task.c.id.in_(ids))))
    return {row: Holder(*maker, settled=False) for row, maker in made.items() if maker[0] in known}


def strike_out(connection: Connection, task_id: str, outcomes: Sequence[Outcome]) -> None:
    """Remove the entries of rows whose outcome settles their add, in the same transaction."""
    rows = [o.row for o in outcomes if o.code != Code.LIBRARY_UNAVAILABLE]
    if rows:
        ours = sent.c.row.between(min(rows), max(rows)) & sent.c.row.in_(rows)  # the range: see `ledger._unwritten`
        connection.execute(delete(sent).where(sent.c.task_id == task_id, ours))
