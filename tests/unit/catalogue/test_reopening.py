"""Reopening: exactly the wanted rows become unhandled, in short transactions that can be cut short anywhere."""

from collections.abc import Iterator
from itertools import chain
from types import SimpleNamespace

import pytest
from sqlalchemy import event, update

from face_import.catalogue import Catalogue, Changed, ImportTask, new_limits, reopening
from face_import.catalogue.schema import import_task, outcome, sent
from face_import.contract import Code, Reason, TaskState
from face_import.domain.failed_rows import FailedRows
from face_import.domain.models import Outcome, OutcomeBatch, Sent
from face_import.errors import TaskNotFound, WrongState
from tests.conftest import MakeTask

SHARDS, ROWS = 3, 10


@pytest.fixture
def ended(catalogue: Catalogue, make_task: MakeTask) -> ImportTask:
    """A completed task of three shards: in each, row 2 is 101, row 3 and 4 are 301, row 5 is 302."""
    task = make_task(shards=SHARDS, rows=ROWS)
    for number in range(SHARDS):
        catalogue.leases.take(task.id, number, "me", 10)
        first = number * ROWS + 1
        codes = {
            1: (Code.URI_UNREACHABLE, Reason.NOT_FOUND),
            2: (Code.INFO_UNAVAILABLE, Reason.REFUSED),
            3: (Code.INFO_UNAVAILABLE, Reason.UNAVAILABLE),
            4: (Code.LIBRARY_UNAVAILABLE, Reason.UNAVAILABLE),
        }
        outcomes = [
            Outcome(first + n, "u", *((codes[n][0], "failed") if n in codes else (Code.OK, "")), f"id-{first + n}")
            for n in range(ROWS)
        ]
        outcomes = [o if o.code == Code.OK else _with_reason(o, codes[o.row - first][1]) for o in outcomes]
        catalogue.ledger.write(OutcomeBatch(task.id, number, "me", tuple(outcomes)))
        catalogue.leases.give_back(task.id, number, "me", in_doubt=False)
    assert catalogue.tasks.complete(task.id)
    return task


def _with_reason(o: Outcome, reason: Reason) -> Outcome:
    return Outcome(o.row, o.uri, o.code, o.message, reason=reason)


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (FailedRows(), [2, 3, 4, 5, 12, 13, 14, 15, 22, 23, 24, 25]),
        (FailedRows((Code.INFO_UNAVAILABLE,)), [3, 4, 13, 14, 23, 24]),
        (FailedRows(reasons=(Reason.UNAVAILABLE,)), [4, 5, 14, 15, 24, 25]),
        (FailedRows((Code.INFO_UNAVAILABLE,), (Reason.UNAVAILABLE,)), [4, 14, 24]),
        (FailedRows(spans=((1, 3), (15, 22))), [2, 3, 15, 22]),
        (FailedRows((Code.URI_UNREACHABLE,), spans=((12, 12), (13, 40))), [12, 22]),
        (FailedRows((Code.BLUR,)), []),
    ],
)
@pytest.mark.parametrize("at_once", [7, 20_000])
def test_exactly_the_wanted_rows(  # noqa: PLR0917 - fixtures and parameters
    catalogue: Catalogue,
    ended: ImportTask,
    monkeypatch: pytest.MonkeyPatch,
    wanted: FailedRows,
    rows: list[int],
    at_once: int,
) -> None:
    """Whatever the size of a portion: these rows have no outcome, all others keep theirs, and all counts are right."""
    monkeypatch.setattr(reopening, "REOPEN_ROWS", at_once)
    everything = set(range(1, SHARDS * ROWS + 1))
    assert catalogue.reopening.count(ended.id, wanted) == len(rows)
    assert catalogue.reopening.reopen(ended.id, wanted) == len(rows)
    assert catalogue.ledger.handled_rows(ended.id, 1, 100) == everything - set(rows)
    left = [entry.row for entry in catalogue.ledger.log(ended.id)]
    assert left == [row for row in (2, 3, 4, 5, 12, 13, 14, 15, 22, 23, 24, 25) if row not in rows]
    progress = catalogue.ledger.progress(ended.id)
    assert (progress.handled, progress.succeeded) == (30 - len(rows), 18)
    assert sum(progress.failures.values()) == len(left)
    assert 0 not in progress.failures.values()
    unfinished = {shard.number for shard in catalogue.plans.unfinished(ended.id)}
    assert unfinished == {(row - 1) // ROWS for row in rows}
    assert catalogue.tasks.get(ended.id).state == (TaskState.STOPPED if rows else TaskState.COMPLETED)


def test_an_add_that_may_have_been_sent_stays_in_doubt(catalogue: Catalogue, ended: ImportTask) -> None:
    """The journal's entry of an own id is kept, and a made id of a row that is 302 gets one."""
    with catalogue.engine.begin() as connection:
        connection.execute(sent.insert().values(task_id=ended.id, row=5, face_id="own", digest=b"sha"))
    catalogue.reopening.reopen(ended.id, FailedRows())
    made = {row: Sent(row, f"{ended.id}-{row}", b"") for row in (15, 25)}
    assert catalogue.journal.of_rows(ended.id, 1, 30) == {5: Sent(5, "own", b"sha")} | made


class Died(Exception):
    """The process was killed."""


@pytest.fixture
def dying(catalogue: Catalogue) -> Iterator[list[int]]:
    """The process dies at the commit of the transaction that is counted down to."""
    left = [10**6]

    def commit(_connection: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Died

    event.listen(catalogue.engine, "commit", commit)
    yield left
    event.remove(catalogue.engine, "commit", commit)


@pytest.mark.parametrize("transactions", range(5))
def test_cut_short_anywhere(
    catalogue: Catalogue, ended: ImportTask, monkeypatch: pytest.MonkeyPatch, dying: list[int], transactions: int
) -> None:
    """Before the first transaction nothing has happened; after it the task says so, and a repetition does the rest."""
    monkeypatch.setattr(reopening, "REOPEN_ROWS", ROWS)
    dying[0] = transactions + 1  # reading commits too
    with pytest.raises(Died):
        catalogue.reopening.reopen(ended.id, FailedRows())
    dying[0] = 10**6
    task, progress = catalogue.tasks.get(ended.id), catalogue.ledger.progress(ended.id)
    assert len(catalogue.ledger.handled_rows(ended.id, 1, 100)) == progress.handled
    if task.state == TaskState.COMPLETED:
        assert progress.handled == SHARDS * ROWS
    else:
        assert (task.state, task.last_error[:19]) == (TaskState.STOPPED, "a retry of 12 rows ")
    catalogue.reopening.reopen(ended.id, FailedRows())
    assert catalogue.ledger.progress(ended.id).by_code == {0: 18}
    assert catalogue.tasks.start(ended.id).state == TaskState.STOPPED


@pytest.mark.parametrize(
    ("took", "expected"), [((0.05, 0.09, 9), []), ((0.12, 3, 9), [reopening.PAUSE_S, 3])], ids=["short", "long"]
)
@pytest.mark.parametrize("what", ["retry", "limits"])
def test_others_write_in_between(  # noqa: PLR0917 - fixtures and parameters
    catalogue: Catalogue,
    make_task: MakeTask,
    ended: ImportTask,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    took: tuple[float, ...],
    expected: list[float],
) -> None:
    """After a long transaction, but not after the last one, comes a pause as long as it took, if not a longer one."""
    other, clock, pauses = make_task(), chain.from_iterable((0, seconds) for seconds in took), []

    def paused(seconds: float) -> None:
        with catalogue.engine.begin() as connection:
            connection.execute(update(import_task).where(import_task.c.id == other.id).values(thread_num=20))
        pauses.append(seconds)

    monkeypatch.setattr(reopening, "time", SimpleNamespace(sleep=paused, monotonic=lambda: next(clock)))
    monkeypatch.setattr(reopening, "REOPEN_ROWS", ROWS)
    monkeypatch.setattr(new_limits, "JUDGE_ROWS", ROWS)
    if what == "retry":
        catalogue.reopening.reopen(ended.id, FailedRows())
    else:
        with catalogue.engine.begin() as connection:
            connection.execute(update(outcome).values(width=30))
        assert catalogue.new_limits.apply(ended.id, Changed({"width": 40})).removed
    assert pauses == expected


def test_only_what_has_ended(catalogue: Catalogue, make_task: MakeTask, ended: ImportTask) -> None:
    """A running, a new and a deleted task are refused, and one that is started meanwhile keeps what is left."""
    running = make_task()
    for ask in (catalogue.reopening.count, catalogue.reopening.reopen):
        with pytest.raises(WrongState, match="is running"):
            ask(running.id, FailedRows())
    catalogue.tasks.mark_deleted(ended.id)
    with pytest.raises(TaskNotFound):
        catalogue.reopening.reopen(ended.id, FailedRows())


def test_started_in_the_middle(catalogue: Catalogue, ended: ImportTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody starts the task between two portions: what is not reopened yet keeps its outcome."""
    monkeypatch.setattr(reopening, "REOPEN_ROWS", ROWS)
    portions = catalogue.reopening._portions

    def interrupted(task_id: str, wanted: FailedRows) -> Iterator[object]:
        for number, portion in enumerate(portions(task_id, wanted)):
            if number == 1:
                catalogue.tasks.start(task_id)
            yield portion

    monkeypatch.setattr(catalogue.reopening, "_portions", interrupted)
    with pytest.raises(WrongState, match="was started meanwhile"):
        catalogue.reopening.reopen(ended.id, FailedRows())
    assert catalogue.ledger.progress(ended.id).handled == SHARDS * ROWS - 4
    assert catalogue.ledger.handled_rows(ended.id, 1, 100) == set(range(1, 31)) - {2, 3, 4, 5}
