"""The ledger: each row once, written by the holder only, counted in the same transaction."""

from collections.abc import Sequence

import pytest

from face_import.catalogue import Catalogue, ledger
from face_import.contract import Code, Mode, TaskState
from face_import.domain.models import Measurements, Outcome, OutcomeBatch
from face_import.errors import LeaseLost, TaskStopped
from tests.conftest import MakeTask


def batch(task_id: str, rows: Sequence[int], *, shard: int = 0, bad: Sequence[int] = ()) -> OutcomeBatch:
    """Outcomes for rows, those in `bad` without a face."""
    return OutcomeBatch(
        task_id,
        shard,
        "me",
        tuple(
            Outcome(n, f"http://x/{n}.jpg", Code.NO_FACE, "no face found", measurements=Measurements(faces=0))
            if n in bad
            else Outcome(n, f"http://x/{n}.jpg", Code.OK, "", f"id-{n}")
            for n in rows
        ),
    )


def test_a_repeated_batch_changes_nothing(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Rows that are there stay as they are, also within an overlapping batch, and counts stay right."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(batch(task.id, [1, 2, 3], bad=[2]))
    progress = catalogue.ledger.write(batch(task.id, [2, 3, 4, 4]))
    assert progress.by_code == {0: 3, 201: 1}
    assert catalogue.ledger.handled_rows(task.id, 1, 10) == {1, 2, 3, 4}


def test_what_the_database_refuses_costs_one_row(catalogue: Catalogue, make_task: MakeTask) -> None:
    """The row becomes 303 with the database's words, the others of its batch are written, and counts are right."""
    task = make_task(mode=Mode.STOP)
    catalogue.leases.take(task.id, 0, "me", 10)
    with catalogue.engine.begin() as connection:
        refuse = "SELECT RAISE(ABORT, 'value out of range')"
        connection.exec_driver_sql(
            f"CREATE TRIGGER picky BEFORE INSERT ON outcome WHEN NEW.face_id = 'id-2' BEGIN {refuse}; END"
        )
    for _ in range(2):
        progress = catalogue.ledger.write(batch(task.id, [1, 2, 3]))
        assert progress.by_code == {0: 2, 303: 1}
    (entry,) = catalogue.ledger.log(task.id)
    assert (entry.row, entry.code) == (2, 303)
    assert entry.message == "the database rejected the row's outcome (it was added as 'id-2'): value out of range"
    stopped = catalogue.tasks.get(task.id)
    assert (stopped.state, stopped.last_error[:7]) == (TaskState.STOPPED, "row 2: "), "a bad row in mode 1"


def test_only_the_holder_writes(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A try whose shard was taken over cannot write any more."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "somebody else", 10)
    with pytest.raises(LeaseLost):
        catalogue.ledger.write(batch(task.id, [1]))
    assert catalogue.ledger.progress(task.id).handled == 0


def test_rows_in_flight_at_a_stop_are_written(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A stop fences starts, not the outcomes of what had started."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.tasks.stop(task.id)
    assert catalogue.ledger.write(batch(task.id, [1])).handled == 1


def test_a_deleted_task_takes_no_outcomes(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Nothing is written behind a tombstone."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.tasks.mark_deleted(task.id)
    with pytest.raises(TaskStopped):
        catalogue.ledger.write(batch(task.id, [1]))


def test_mode_1_stops_at_the_first_bad_row(catalogue: Catalogue, make_task: MakeTask) -> None:
    """The bad row's own transaction sets state and last error; later bad rows do not change it."""
    task = make_task(mode=Mode.STOP)
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(batch(task.id, [1, 2, 3], bad=[3, 2]))
    catalogue.ledger.write(batch(task.id, [4], bad=[4]))
    stopped = catalogue.tasks.get(task.id)
    assert stopped.state == TaskState.STOPPED
    assert stopped.last_error == "row 2: http://x/2.jpg: 201 no face found"


def test_the_last_error_has_no_secret(catalogue: Catalogue, make_task: MakeTask) -> None:
    """The log keeps the row's URI, so that it can be tried again; the last error is shown to everybody."""
    task = make_task(mode=Mode.STOP)
    catalogue.leases.take(task.id, 0, "me", 10)
    uri = "http://s3cret:s3cret@x/2.jpg?sig=s3cret#s3cret"
    outcome = Outcome(2, uri, Code.URI_UNREACHABLE, "404 Not Found")
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (outcome,)))
    assert catalogue.tasks.get(task.id).last_error == "row 2: http://x/2.jpg?…: 101 404 Not Found"
    assert [entry.uri for entry in catalogue.ledger.log(task.id)] == [uri]


def test_mode_0_goes_on(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Without mode 1 a bad row is only logged."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(batch(task.id, [1], bad=[1]))
    assert catalogue.tasks.get(task.id).state == TaskState.RUNNING


@pytest.mark.parametrize("code", [None, 201, 101], ids=["all", "code 201", "absent code"])
@pytest.mark.parametrize("page", [1, 3, 100])
def test_pages_of_the_log_are_slices_of_it(
    catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, code: int | None, page: int
) -> None:
    """Whatever skip and limit are, a page is that slice of the whole log, across shards."""
    monkeypatch.setattr(ledger, "LOG_PAGE", 4)
    task = make_task(shards=3)
    for number in range(3):
        rows = range(number * 10 + 1, number * 10 + 11)
        catalogue.leases.take(task.id, number, "me", 10)
        catalogue.ledger.write(batch(task.id, rows, shard=number, bad=[n for n in rows if n % 3 == 0]))
    expected = [n for n in range(1, 31) if n % 3 == 0] if code in {None, 201} else []
    assert [e.row for e in catalogue.ledger.log(task.id, code=code)] == expected
    for skip in range(13):
        got = [e.row for e in catalogue.ledger.log(task.id, skip=skip, limit=page, code=code)]
        assert got == expected[skip : skip + page]
    within = catalogue.plans.shards(task.id)[1]
    assert [e.row for e in catalogue.ledger.log(task.id, within=within)] == [12, 15, 18]


def test_a_page_without_a_row_does_not_end_the_log(
    catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where failures fill their pages exactly an empty one follows, and behind it the next shard's."""
    monkeypatch.setattr(ledger, "LOG_PAGE", 5)
    task = make_task(shards=3)
    for number in range(3):
        rows = range(number * 10 + 1, number * 10 + 11)
        catalogue.leases.take(task.id, number, "me", 10)
        catalogue.ledger.write(batch(task.id, rows, shard=number, bad=list(rows[::2])))
    assert [e.row for e in catalogue.ledger.log(task.id)] == list(range(1, 31, 2))


def test_progress_is_told_by_shard_and_task(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Counts by code add up over shards, and a complete shard is known as such."""
    task = make_task(shards=2)
    for number in range(2):
        catalogue.leases.take(task.id, number, "me", 10)
    catalogue.ledger.write(batch(task.id, range(1, 11), bad=[1]))
    catalogue.ledger.write(batch(task.id, [11, 12], shard=1, bad=[12]))
    assert catalogue.ledger.progress(task.id, 1).by_code == {0: 1, 201: 1}
    assert catalogue.ledger.progress(task.id).failures == {201: 2}
    assert catalogue.plans.finished_shards(task.id) == {0}
