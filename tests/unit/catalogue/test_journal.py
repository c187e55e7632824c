"""The journal of adds: what is noted, who may send, when an entry goes, and who else may have an id."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from face_import.catalogue import Catalogue, Holder
from face_import.catalogue.journal import note_removals
from face_import.catalogue.schema import import_task
from face_import.contract import Code
from face_import.domain.models import Measurements, Outcome, OutcomeBatch, Removal, Sent
from face_import.errors import LeaseLost
from tests.conftest import MakeTask

A, B = Sent(1, "alice", b"a"), Sent(2, "bob", b"b")


def test_what_is_noted_stays_until_the_outcome_settles_it(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A second note changes nothing; 302 leaves open what became of an add, so its entry stays."""
    task, journal = make_task(), catalogue.journal
    catalogue.leases.take(task.id, 0, "me", 10)
    assert journal.note(task.id, 0, "me", [A, B]) == {}
    assert journal.note(task.id, 0, "me", [Sent(1, "alice", b"another")]) == {}
    assert journal.of_rows(task.id, 1, 10) == {1: A, 2: B}
    assert journal.of_rows(task.id, 2, 2) == {2: B}
    outcomes = (Outcome(1, "http://x", Code.OK, "", "alice"), Outcome(2, "http://x", Code.LIBRARY_UNAVAILABLE, "away"))
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    assert journal.of_rows(task.id, 1, 10) == {2: B}


def test_an_id_is_sent_by_one_row_of_a_file_at_a_time(catalogue: Catalogue, make_task: MakeTask) -> None:
    """The other one is told which row that is; another import may send the same id."""
    task, other = make_task(), make_task()
    for one in (task, other):
        catalogue.leases.take(one.id, 0, "me", 10)
    twice = [A, Sent(7, "alice", b"c"), B]
    assert catalogue.journal.note(task.id, 0, "me", twice) == {7: Holder(task.id, 1, settled=False)}
    assert catalogue.journal.note(task.id, 0, "me", twice[1:]) == {7: Holder(task.id, 1, settled=False)}
    assert catalogue.journal.note(other.id, 0, "me", twice[1:]) == {}


def test_an_id_that_an_import_makes_is_nobody_elses(catalogue: Catalogue, make_task: MakeTask) -> None:
    """It is the proof of who has added a face: a file that brings it along may not send it."""
    task, other = make_task(), make_task()
    catalogue.leases.take(task.id, 0, "me", 10)
    of_other, own = f"{other.id}-3", f"{task.id}-2"
    adds = [Sent(1, of_other, b"a"), Sent(2, own, b"b"), Sent(3, own, b"c"), Sent(4, "no_such_task-3", b"d")]
    assert catalogue.journal.note(task.id, 0, "me", adds) == {
        1: Holder(other.id, 3, settled=False),
        3: Holder(task.id, 2, settled=False),
    }
    assert set(catalogue.journal.of_rows(task.id, 1, 10)) == {2, 4}
    catalogue.leases.take(other.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(other.id, 0, "me", (Outcome(3, "http://x", Code.OK, "", of_other),)))
    assert catalogue.journal.holder(task.id, 9, of_other) == Holder(other.id, 3, settled=True)
    assert catalogue.journal.holder(other.id, 3, of_other) is None


def test_only_the_holder_of_the_lease_sends(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A try whose shard was taken over, and one of a purged task, may not send anything."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "somebody else", 10)
    for task_id in (task.id, "no such task"):
        with pytest.raises(LeaseLost):
            catalogue.journal.note(task_id, 0, "me", [A])


def test_who_else_may_have_put_a_face_there(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Other rows and other imports into the group, on record or under way; not another import of the same entry."""
    task, other, entry, same = make_task(), make_task(), make_task(entry="nightly"), make_task(entry="nightly")
    for one in (task, other, entry, same):
        catalogue.leases.take(one.id, 0, "me", 10)
    journal = catalogue.journal
    assert journal.holder(task.id, 1, "alice") is None
    journal.note(task.id, 0, "me", [A])
    assert journal.holder(task.id, 1, "alice") is None
    journal.note(other.id, 0, "me", [Sent(5, "alice", b"a")])
    assert journal.holder(task.id, 1, "alice") == Holder(other.id, 5, settled=False)
    catalogue.ledger.write(OutcomeBatch(other.id, 0, "me", (Outcome(5, "http://x", Code.OK, "", "alice"),)))
    assert journal.holder(task.id, 1, "alice") == Holder(other.id, 5, settled=True)
    catalogue.ledger.write(OutcomeBatch(entry.id, 0, "me", (Outcome(5, "http://x", Code.OK, "", "bob"),)))
    assert journal.holder(task.id, 2, "bob") == Holder(entry.id, 5, settled=True)
    assert journal.holder(same.id, 2, "bob") is None


def test_a_purge_leaves_no_entry(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Entries go with their task."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.journal.note(task.id, 0, "me", [A])
    catalogue.tasks.mark_deleted(task.id)
    while catalogue.tasks.purge_some(task.id):
        pass
    assert catalogue.journal.of_rows(task.id, 1, 10) == {}


def test_a_removal_and_an_add_of_another_import_exclude_each_other(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Whose entry is there first goes on; what was added after the face to remove is somebody else's."""
    task, other, later = make_task(), make_task(), make_task()
    for one in (task, other, later):
        catalogue.leases.take(one.id, 0, "me", 10)
    journal = catalogue.journal
    removal = Removal(task.id, catalogue.tasks.clock(), Measurements(width=20, pitch=0.5, pose_unknown=True))
    mine = [Sent(a.row, a.face_id, b"", removal) for a in (A, B)]
    journal.note(other.id, 0, "me", [Sent(5, "alice", b"a")])
    with catalogue.engine.begin() as connection:
        note_removals(connection, task.id, mine)
        note_removals(connection, task.id, [Sent(3, "bob", b"", removal)])
    assert journal.note(other.id, 0, "me", [Sent(5, "alice", b"a"), Sent(6, "bob", b"b"), Sent(7, "bob", b"b")]) == {
        row: Holder(task.id, 2, settled=False) for row in (6, 7)
    }
    assert journal.note(task.id, 0, "me", mine) == {1: Holder(other.id, 5, settled=False)}
    tried = Sent(2, "bob", b"", replace(removal, tried=True))
    assert journal.of_rows(task.id, 1, 10) == {1: mine[0], 2: tried}
    assert set(journal.of_rows(other.id, 1, 10)) == {5}
    catalogue.ledger.write(OutcomeBatch(other.id, 0, "me", (Outcome(5, "http://x", Code.OK, "", "alice"),)))
    assert journal.note(task.id, 0, "me", mine) == {1: Holder(other.id, 5, settled=True)}
    younger = Sent(1, "alice", b"", replace(removal, added_at=catalogue.tasks.clock()))
    assert journal.note(later.id, 0, "me", [replace(younger, row=8)]) == {}
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (Outcome(2, "http://x", Code.WIDTH, "small"),)))
    assert journal.note(other.id, 0, "me", [Sent(6, "bob", b"b")]) == {}, "the removal is settled"


def test_the_face_of_another_group_is_another_one(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Ids are those of a group."""
    task, other = make_task(), make_task()
    for one in (task, other):
        catalogue.leases.take(one.id, 0, "me", 10)
    with catalogue.engine.begin() as connection:
        connection.execute(update(import_task).where(import_task.c.id == other.id).values(group_name="guests"))
        note_removals(connection, task.id, [Sent(1, "alice", b"", Removal(task.id, 0.0))])
    assert catalogue.journal.note(other.id, 0, "me", [Sent(5, "alice", b"a")]) == {}
    assert catalogue.journal.note(task.id, 0, "me", [Sent(1, "alice", b"", Removal(task.id, 0.0))]) == {}
