"""What the catalogue knows of an undo, on both databases."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import select

from face_import.catalogue import Affected, Catalogue, Changed, FaceOfRow, Holdings, ImportTask
from face_import.catalogue.engine import migrate
from face_import.catalogue.schema import holding, outcome, sent
from face_import.contract import Code, TaskState
from face_import.domain.failed_rows import FailedRows
from face_import.domain.identity import new_task_id
from face_import.domain.models import Added, Change, Holding, Measurements, Outcome, OutcomeBatch, Removal, Sent, Shard
from face_import.errors import TaskNotFound, WrongState
from face_import.settings import Settings
from tests import servers
from tests.conftest import MakeTask

KEY = b"k" * 32


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, catalogue: Catalogue, tmp_path: Path) -> Iterator[Catalogue]:
    """An empty catalogue in either database."""
    if request.param == "sqlite":
        yield catalogue
        return
    try:
        with servers.databases(1) as (url,):
            migrate(url)
            other = Catalogue.open(Settings(home=tmp_path, database_url=url))
            yield other
            other.engine.dispose()
    except servers.Unavailable as reason:
        servers.skip(reason)


def write(catalogue: Catalogue, task: ImportTask, *outcomes: Outcome) -> None:
    """Write outcomes of the first shard."""
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    catalogue.leases.give_back(task.id, 0, "me", in_doubt=False)


def undo_of(catalogue: Catalogue, task: ImportTask, rows: int) -> ImportTask:
    """The running undo of an ended task."""
    undo = catalogue.undoing.begin(task.id, new_task_id())
    catalogue.plans.commit(undo.id, [Shard(0, 1, rows, 0, 1, 1)], rows)
    catalogue.tasks.start(undo.id)
    return catalogue.tasks.get(undo.id)


def faces(catalogue: Catalogue, task: ImportTask) -> dict[int, str]:
    """Face ids in a task's ledger by row."""
    with catalogue.engine.connect() as connection:
        query = select(outcome.c.row, outcome.c.face_id).where(outcome.c.task_id == task.id)
        return dict(connection.execute(query).all())


def test_only_what_was_added_is_to_be_removed(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Not what failed, was only judged, or was there unchanged; what is removed is forgotten, and nothing else."""
    task = make_task(rows=6, entry="nightly")
    write(
        catalogue,
        task,
        Outcome(1, "u", Code.OK, face_id="one"),
        Outcome(2, "u", Code.NO_FACE),
        Outcome(3, "u", Code.OK, Change.UNCHANGED, "three", change=Change.UNCHANGED),
        Outcome(4, "u", Code.OK),
        Outcome(5, "u", Code.OK, "looks like emp-7", "five"),
    )
    catalogue.tasks.stop(task.id)
    (part,) = catalogue.plans.shards(task.id)
    found = catalogue.undoing.added(task.id, part)
    assert {row: face.face_id for row, face in found.items()} == {1: "one", 5: "five"}
    undo = undo_of(catalogue, task, 2)
    write(catalogue, undo, Outcome(1, "u", Code.OK, undone=Added(1, found[1].at)), Outcome(2, "u", Code.REPLACED))
    assert faces(catalogue, task) == {1: "", 2: "", 3: "three", 4: "", 5: "five"}
    assert catalogue.undoing.added(task.id, part) == {5: FaceOfRow("five", found[5].at)}
    assert catalogue.ledger.progress(task.id).by_code == {0: 4, 201: 1}
    assert catalogue.tasks.complete(undo.id)
    assert catalogue.tasks.get(undo.id).gone_num == 0
    catalogue.tasks.mark_deleted(task.id)
    with pytest.raises(TaskNotFound):
        catalogue.undoing.added(task.id, part)


def test_what_a_change_of_limits_has_not_removed_yet_is_undone(catalogue: Catalogue, make_task: MakeTask) -> None:
    """It was stopped before: its faces are in the group, though their rows have no outcome."""
    task = make_task(rows=3)
    narrow = Measurements(faces=1, score=0.9, width=50, height=90)
    write(catalogue, task, *(Outcome(n, "u", Code.OK, "", f"face-{n}", narrow) for n in (1, 2)))
    catalogue.tasks.stop(task.id)
    (part,) = catalogue.plans.shards(task.id)
    before = catalogue.undoing.added(task.id, part)
    assert catalogue.new_limits.apply(task.id, Changed({"width": 80})).removed == 2
    assert catalogue.undoing.added(task.id, part) == before
    undo = undo_of(catalogue, task, 2)
    with pytest.raises(WrongState, match="is being undone"):
        catalogue.new_limits.count(task.id, Changed({"width": 0}))
    write(catalogue, undo, *(Outcome(n, "u", Code.OK, undone=Added(n, before[n].at)) for n in (1, 2)))
    assert catalogue.undoing.added(task.id, part) == {}
    assert catalogue.tasks.complete(undo.id)
    with pytest.raises(WrongState, match="nothing to undo"):
        catalogue.undoing.check(task.id)


def test_new_limits_remove_nothing_twice(catalogue: Catalogue, make_task: MakeTask) -> None:
    """What was undone is not in the group any more."""
    task = make_task(rows=2)
    narrow = Measurements(faces=1, score=0.9, width=50, height=90)
    write(catalogue, task, *(Outcome(n, "u", Code.OK, "", f"face-{n}", narrow) for n in (1, 2)))
    assert catalogue.tasks.complete(task.id)
    undo = undo_of(catalogue, task, 2)
    write(catalogue, undo, Outcome(1, "u", Code.OK, undone=Added(1, 0.0)), Outcome(2, "u", Code.REPLACED))
    assert catalogue.tasks.complete(undo.id)
    touched = [catalogue.new_limits.count(task.id, Changed({"width": width})) for width in (80, 0)]
    assert touched == [Affected(removed=1), Affected()]
    with pytest.raises(WrongState, match="it has no limits"):
        catalogue.new_limits.count(undo.id, Changed({"width": 80}))


def test_whoever_comes_first_makes_the_undo(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Others at the same moment get its id; a start at the same moment comes before it or is refused."""
    task = make_task(rows=2)
    write(catalogue, task, Outcome(1, "u", Code.OK, face_id="one"))
    catalogue.tasks.stop(task.id)
    started: list[object] = []

    def start(_number: int) -> str:
        try:
            started.append(catalogue.tasks.start(task.id))
        except WrongState as error:
            return str(error)
        return "started"

    def begin(_number: int) -> str:
        try:
            return catalogue.undoing.begin(task.id, new_task_id()).id
        except WrongState as error:
            return str(error)

    with ThreadPoolExecutor(6) as threads:
        asked = [threads.submit(call, n) for n in range(3) for call in (begin, start)]
        answers = {future.result() for future in asked}
    state = catalogue.tasks.get(task.id).state
    if started:
        assert state == TaskState.RUNNING
        assert len(catalogue.tasks.all_ids()) == 1
    else:
        (undo_id,) = catalogue.tasks.all_ids() - {task.id}
        assert answers == {
            undo_id,
            f"task {task.id} is being undone by task {undo_id}, which has to be completed or deleted first",
        }


def test_an_undo_that_is_retried_makes_way_for_another(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Of two undos of one task, only one is under way."""
    task = make_task(rows=1)
    write(catalogue, task, Outcome(1, "u", Code.OK, face_id="one"))
    assert catalogue.tasks.complete(task.id)
    first = undo_of(catalogue, task, 1)
    write(catalogue, first, Outcome(1, "u", Code.LIBRARY_UNAVAILABLE))
    assert catalogue.tasks.complete(first.id)
    second = undo_of(catalogue, task, 1)
    with pytest.raises(WrongState, match=f"is being undone by task {second.id}"):
        catalogue.reopening.check(first.id)
    catalogue.tasks.mark_deleted(second.id)
    catalogue.reopening.check(first.id)


def ended_undo_of(catalogue: Catalogue, task: ImportTask) -> ImportTask:
    """A completed undo that has not removed the face of the task's first row; the second row is to be tried again."""
    write(catalogue, task, Outcome(1, "u", Code.OK, face_id="one"), Outcome(2, "u", Code.NO_FACE))
    assert catalogue.tasks.complete(task.id)
    undo = undo_of(catalogue, task, 1)
    write(catalogue, undo, Outcome(1, "u", Code.LIBRARY_UNAVAILABLE))
    assert catalogue.tasks.complete(undo.id)
    assert catalogue.reopening.reopen(task.id, FailedRows()) == 1
    return undo


def test_an_undo_is_not_retried_while_the_import_runs(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Neither by us nor by clearing its run in Airflow; one of them would remove what the other adds."""
    task = make_task(rows=2)
    undo = ended_undo_of(catalogue, task)
    catalogue.tasks.start(task.id)
    for retry in (catalogue.reopening.check, lambda undo_id: catalogue.reopening.reopen(undo_id, FailedRows())):
        with pytest.raises(WrongState, match=f"task {task.id} is running"):
            retry(undo.id)
    in_airflow = catalogue.runs.run_queued(undo.run_id, 4e9)
    assert in_airflow is not None
    assert in_airflow.state == TaskState.COMPLETED
    catalogue.tasks.mark_deleted(task.id)
    assert catalogue.reopening.reopen(undo.id, FailedRows()) == 1


def test_an_import_and_its_undo_are_not_started_at_once(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Of a start and a retry at the same moment, one is refused."""
    for _ in range(5):
        task = make_task(rows=2)
        undo = ended_undo_of(catalogue, task)
        barrier = Barrier(2)

        def tried(call: Callable[[], object], barrier: Barrier = barrier) -> bool:
            barrier.wait(10)
            try:
                call()
            except WrongState:
                return False
            return True

        calls = partial(catalogue.tasks.start, task.id), partial(catalogue.reopening.reopen, undo.id, FailedRows())
        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(tried, calls)) == [False, True]


def test_a_holding_goes_with_its_face(catalogue: Catalogue, make_task: MakeTask) -> None:
    """It is taken over before the face is deleted, handed back if it stays, and gone with the outcome."""
    task = make_task(rows=1, entry="nightly")
    held = Holdings(catalogue.engine, task)
    assert held.reserve(KEY, 1, was=b"", adding=Sent(1, "one", b"d"))
    has = Holding(KEY, "one", b"d", b"c", "v")
    write(catalogue, task, Outcome(1, "u", Code.OK, face_id="one", change=Change.NEW, holding=has))
    assert catalogue.tasks.complete(task.id)
    settled = held.find(KEY)
    assert held.reserve(KEY, 1, was=b"d", adding=None)
    held.keep(KEY, 1)
    assert held.find(KEY) == settled
    undo = undo_of(catalogue, task, 1)
    added, undos = Added(1, 0.0, KEY), Holdings(catalogue.engine, undo)
    assert undos.take_over(added, 1, of=task.id)
    assert undos.take_over(added, 1, of=task.id), "a second try"
    later = make_task(rows=1, entry="nightly")
    assert not Holdings(catalogue.engine, later).reserve(KEY, 1, was=b"d", adding=None), "the undo is under way"
    undos.hand_back(added, 1, to=task.id)
    assert held.find(KEY) == settled
    assert held.reserve(KEY, 1, was=b"d", adding=None)
    assert undos.take_over(added, 1, of=task.id), "its removal was not finished"
    write(catalogue, undo, Outcome(1, "u", Code.OK, undone=added))
    with catalogue.engine.connect() as connection:
        assert connection.execute(select(holding)).all() == []

    assert held.reserve(KEY, 1, was=b"", adding=Sent(1, "two", b"e"))
    assert not undos.take_over(added, 1, of=task.id), "it is being replaced"


def test_an_id_that_is_being_removed_is_refused_to_others(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Until the row has its outcome; and whoever noted the id first keeps it."""
    task = make_task(rows=2)
    write(catalogue, task, Outcome(1, "u", Code.OK, face_id="one"), Outcome(2, "u", Code.OK, face_id="two"))
    assert catalogue.tasks.complete(task.id)
    undo, other = undo_of(catalogue, task, 2), make_task(rows=2)
    for of in (undo, other):
        catalogue.leases.take(of.id, 0, "me", 10)
    ours = [Sent(n, face_id, b"", Removal(task.id, 9e9)) for n, face_id in enumerate(("one", "two"), 1)]
    theirs = [Sent(n, face_id, b"") for n, face_id in enumerate(("one", "two"), 1)]
    assert catalogue.journal.note(other.id, 0, "me", theirs[:1]) == {}
    assert {row: holder.task_id for row, holder in catalogue.journal.note(undo.id, 0, "me", ours).items()} == {
        1: other.id
    }
    assert {row: holder.task_id for row, holder in catalogue.journal.note(other.id, 0, "me", theirs).items()} == {
        2: undo.id
    }
    removed = Outcome(2, "u", Code.OK, undone=Added(2, 0.0))
    catalogue.ledger.write(OutcomeBatch(undo.id, 0, "me", (Outcome(1, "u", Code.REPLACED), removed)))
    assert catalogue.journal.note(other.id, 0, "me", theirs) == {}
    with catalogue.engine.connect() as connection:
        assert set(connection.scalars(select(sent.c.task_id))) == {other.id}
