"""Holdings: who may replace a face, what is settled with the outcomes, and which rows are gone."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from face_import.catalogue import Catalogue, Holdings, ImportTask, TaskConfig
from face_import.catalogue.schema import shard
from face_import.contract import Code, Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Change, Changes, Holding, Limits, Outcome, OutcomeBatch, Sent, Shard

KEY, OTHER = b"k" * 32, b"o" * 32


def begin(catalogue: Catalogue, *, entry: str = "nightly", group: str = "staff", rows: int = 2) -> ImportTask:
    """A running import of an entry, whose only shard is `me`'s."""
    task_id = new_task_id()
    config = TaskConfig(group, "faces.csv", Limits(), 10, Mode.SKIP, entry)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.RUNNING, total_num=rows)
    catalogue.plans.commit(task_id, [Shard(0, 1, rows, 0, 100, 1)], rows)
    catalogue.leases.take(task_id, 0, "me", rows)
    return catalogue.tasks.get(task_id)


def holdings(catalogue: Catalogue, task: ImportTask) -> Holdings:
    """What the task's entry has."""
    return Holdings(catalogue.engine, task)


def run_out(catalogue: Catalogue, task: ImportTask) -> None:
    """Let the lease of the import's shard run out."""
    with catalogue.engine.begin() as connection:
        connection.execute(update(shard).where(shard.c.task_id == task.id).values(lease_until=0.0))


def imported(catalogue: Catalogue, task: ImportTask, row: int, key: bytes, digest: bytes = b"d") -> None:
    """Import a row that is new or has changed: reserve, and write the outcome."""
    before = holdings(catalogue, task).find(key)
    assert reserve(catalogue, task, key, row, was=before.digest if before else b"")
    held = Holding(key, f"face-{row}", digest, b"c", '"v"')
    outcome = Outcome(row, "http://x", Code.OK, "", held.face_id, change=Change.NEW, holding=held)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (outcome,)))


def reserve(catalogue: Catalogue, task: ImportTask, key: bytes, row: int, was: bytes = b"") -> bool:
    """Reserve a row's holding for an add."""
    return holdings(catalogue, task).reserve(key, row, was=was, adding=Sent(row, f"face-{row}", b"next"))


def test_what_was_imported_is_held(catalogue: Catalogue) -> None:
    """By all later imports of the entry into the group, and by nobody else."""
    task = begin(catalogue)
    imported(catalogue, task, 1, KEY)
    later = holdings(catalogue, begin(catalogue))
    assert later.find(KEY) == Holding(KEY, "face-1", b"d", b"c", '"v"', task_id=task.id, row=1)
    assert later.find(OTHER) is None
    for stranger in (begin(catalogue, entry="weekly"), begin(catalogue, group="guests")):
        assert holdings(catalogue, stranger).find(KEY) is None


def test_a_reserved_face_is_pending_and_keeps_what_was_held(catalogue: Catalogue) -> None:
    """Whoever comes next knows which face is ours, how far its replacement went, and what was being added."""
    imported(catalogue, begin(catalogue), 1, KEY)
    task = begin(catalogue)
    ours = holdings(catalogue, task)
    assert ours.reserve(KEY, 7, was=b"d", adding=None)
    deleting = Holding(KEY, "face-1", b"d", b"c", '"v"', pending=True, task_id=task.id, row=7)
    assert ours.find(KEY) == deleting
    ours.adding(KEY, Sent(7, "face-2", b"e"), shaky=True)
    assert ours.find(KEY) == replace(deleting, sent_id="face-2", sent_digest=b"e", shaky=True)
    ours.adding(KEY, Sent(8, "face-3", b"f"), shaky=False)
    assert ours.find(KEY) == replace(deleting, sent_id="face-2", sent_digest=b"e", shaky=True), "another row's"
    assert reserve(catalogue, task, KEY, 7, b"d"), "the next try does it again"


def test_a_key_has_one_row_in_an_import(catalogue: Catalogue) -> None:
    """The row that came first has it, whether it was imported or passed over."""
    task = begin(catalogue)
    imported(catalogue, task, 1, KEY)
    assert not reserve(catalogue, task, KEY, 2)
    later = begin(catalogue)
    assert holdings(catalogue, later).confirm(Holding(KEY, "face-1", b"d", b"C", ""), 5)
    assert not reserve(catalogue, later, KEY, 6, b"d")
    assert not holdings(catalogue, later).confirm(Holding(KEY, "face-1", b"d"), 6)
    assert holdings(catalogue, later).find(KEY) == Holding(KEY, "face-1", b"d", b"C", task_id=later.id, row=5)


def test_two_imports_of_an_entry_do_not_replace_the_same_face_at_once(catalogue: Catalogue) -> None:
    """What an import has reserved is its own as long as its rows are under way; afterwards it has to be made good."""
    first, second = begin(catalogue), begin(catalogue)
    for key in (KEY, OTHER):
        assert reserve(catalogue, first, key, 1)
        assert not reserve(catalogue, second, key, 1)
    catalogue.tasks.stop(first.id)
    assert not reserve(catalogue, second, KEY, 1)
    run_out(catalogue, first)
    assert reserve(catalogue, second, KEY, 1)
    catalogue.tasks.start(first.id)
    catalogue.leases.take(first.id, 0, "me", 1)
    catalogue.tasks.mark_deleted(first.id)
    assert not reserve(catalogue, second, OTHER, 2)
    run_out(catalogue, first)
    assert reserve(catalogue, second, OTHER, 2)


def test_a_face_that_has_changed_since_it_was_looked_up_is_not_replaced(catalogue: Catalogue) -> None:
    """Another import was faster: what it has added is not to be taken for what was there before."""
    imported(catalogue, begin(catalogue), 1, KEY)
    task = begin(catalogue)
    assert not reserve(catalogue, task, KEY, 1)
    assert not holdings(catalogue, task).confirm(Holding(KEY, "face-1", b"another"), 1)
    assert reserve(catalogue, task, KEY, 1, b"d")
    assert not holdings(catalogue, task).confirm(Holding(KEY, "face-1", b"d"), 1), "it may not be in the group"


def test_an_outcome_settles_only_what_its_row_reserved(catalogue: Catalogue) -> None:
    """An import that another one has taken the face from does not say how it stands."""
    first, second = begin(catalogue), begin(catalogue)
    assert reserve(catalogue, first, KEY, 1)
    catalogue.tasks.stop(first.id)
    run_out(catalogue, first)
    assert reserve(catalogue, second, KEY, 1)
    held = Holding(KEY, "face", b"d")
    late = Outcome(1, "http://x", Code.OK, "", "face", change=Change.NEW, holding=held)
    catalogue.ledger.write(OutcomeBatch(first.id, 0, "me", (late,)))
    found = holdings(catalogue, second).find(KEY)
    assert found is not None
    assert (found.pending, found.digest) == (True, b"")


def test_a_released_face_is_not_held_and_a_settled_one_stays(catalogue: Catalogue) -> None:
    """Only what is pending can be refused."""
    task = begin(catalogue)
    imported(catalogue, task, 1, KEY)
    assert reserve(catalogue, task, OTHER, 2)
    for key, row in ((KEY, 1), (OTHER, 2)):
        holdings(catalogue, task).release(key, row)
    assert holdings(catalogue, task).find(KEY) is not None
    assert holdings(catalogue, task).find(OTHER) is None


def test_rows_are_counted_by_change_once(catalogue: Catalogue) -> None:
    """A batch that is repeated changes nothing, and failed rows are no changes."""
    task = begin(catalogue, rows=4)
    changes = (Change.NEW, Change.UNCHANGED, Change.UNCHANGED, None)
    outcomes = tuple(
        Outcome(n, "http://x", Code.OK if change else Code.NO_FACE, change=change)
        for n, change in enumerate(changes, 1)
    )
    for batch in (outcomes[:2], outcomes, outcomes):
        catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", batch))
    assert catalogue.ledger.changes(task.id) == Changes(new=1, unchanged=2)


@pytest.mark.parametrize("seen", [True, False])
def test_gone_is_what_no_row_of_the_file_is(catalogue: Catalogue, seen: bool) -> None:
    """Counted when the import completes, and not changed by the imports after it."""
    first = begin(catalogue)
    imported(catalogue, first, 1, KEY)
    imported(catalogue, first, 2, OTHER)
    assert catalogue.tasks.complete(first.id)
    second = begin(catalogue, rows=1)
    imported(catalogue, second, 1, KEY, b"e")
    if seen:
        holdings(catalogue, second).see(OTHER)
    assert catalogue.ledger.changes(second.id).gone == 0
    assert catalogue.tasks.complete(second.id)
    third = begin(catalogue, rows=1)
    imported(catalogue, third, 1, b"third")
    assert catalogue.tasks.complete(third.id)
    catalogue.runs.run_queued(second.run_id, queued_at=catalogue.tasks.clock() + 1)  # cleared in Airflow
    assert catalogue.tasks.complete(second.id)
    gone = [catalogue.ledger.changes(task.id).gone for task in (first, second, third)]
    assert gone == [0, 0 if seen else 1, 2]
