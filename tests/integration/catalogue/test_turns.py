"""Turns of guarded rows, on SQLite and on PostgreSQL where a server is reachable (ADR 33)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from face_import.catalogue import Catalogue, ImportTask, TaskConfig
from face_import.contract import Code, Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Outcome, OutcomeBatch, Sent, Shard
from face_import.errors import LeaseLost
from tests.catalogues import DATABASES, catalogue_on

ROWS = 40


@pytest.fixture(scope="module", params=DATABASES)
def catalogue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """A catalogue of each kind; its tests have tasks of their own."""
    yield from catalogue_on(request.param, tmp_path_factory.mktemp("home"), lease_ttl_s=60)


def working(catalogue: Catalogue, group: str, entry: str = "") -> ImportTask:
    """A running task of one shard whose lease is "me"'s, with all its adds noted."""
    task_id = new_task_id()
    config = TaskConfig(group, "faces.csv", Limits(), 10, Mode.SKIP, entry)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=ROWS)
    catalogue.plans.commit(task_id, [Shard(0, 1, ROWS, 0, 100, 1)], ROWS)
    catalogue.tasks.start(task_id)
    assert catalogue.leases.take(task_id, 0, "me", ROWS)
    catalogue.journal.note(task_id, 0, "me", [Sent(row, face(task_id, row), b"") for row in range(1, ROWS + 1)])
    return catalogue.tasks.get(task_id)


def face(task_id: str, row: int) -> str:
    """The id of a row's face."""
    return f"{task_id}-{row}"


def later(catalogue: Catalogue, task: ImportTask, row: int, *others: tuple[ImportTask, int]) -> list[bool]:
    """Whether each of other rows is later than a row."""
    ids = [face(other.id, number) for other, number in others]
    found = catalogue.turns.later(task.id, row, ids)
    return [face_id in found for face_id in ids]


def test_who_has_no_turn_is_later(catalogue: Catalogue) -> None:
    """Then come turns, and in one of them the numbers of the rows; a turn is kept until it is given up."""
    one, two = working(catalogue, "order"), working(catalogue, "order")
    catalogue.turns.take(one.id, 0, "me", [(3, b""), (2, b"")])
    catalogue.turns.take(two.id, 0, "me", [(1, b"")])
    catalogue.turns.take(one.id, 0, "me", [(2, b""), (4, b"")])
    assert later(catalogue, one, 2, (one, 3), (two, 1), (one, 4), (one, 5), (two, 9)) == [True] * 5
    assert later(catalogue, one, 3, (one, 2), (two, 1), (one, 4)) == [False, True, True]
    assert later(catalogue, two, 1, (one, 2), (one, 3), (one, 4), (two, 1)) == [False, False, True, False]
    catalogue.turns.give_up(one.id, 0, "me", 3)
    assert later(catalogue, one, 2, (one, 3)) == [True]
    catalogue.turns.take(one.id, 0, "me", [(3, b"")])
    assert later(catalogue, one, 3, (one, 2), (two, 1), (one, 4)) == [False] * 3


def test_who_is_not_worked_on_is_there_to_stay(catalogue: Catalogue) -> None:
    """Settled rows, those left open, stopped and deleted imports, other groups, and what no import has added."""
    task, other, elsewhere = working(catalogue, "stay"), working(catalogue, "stay"), working(catalogue, "elsewhere")
    catalogue.turns.take(task.id, 0, "me", [(1, b"")])
    ends = (Code.OK, Code.LIBRARY_UNAVAILABLE, Code.ALIKE)
    outcomes = tuple(Outcome(row, "", code, "") for row, code in enumerate(ends, 1))
    catalogue.ledger.write(OutcomeBatch(other.id, 0, "me", outcomes))
    rows = [(other, row) for row in range(1, 5)]
    assert later(catalogue, task, 1, *rows, (elsewhere, 1)) == [False, False, False, True, False]
    assert catalogue.turns.later(task.id, 1, ["somebody"]) == set()
    catalogue.tasks.stop(other.id)
    assert later(catalogue, task, 1, (other, 4)) == [True], "its shard is still ending"
    catalogue.leases.give_back(other.id, 0, "me", in_doubt=False)
    assert later(catalogue, task, 1, (other, 4)) == [False]
    catalogue.tasks.start(other.id)
    assert later(catalogue, task, 1, (other, 4)) == [True]
    catalogue.tasks.mark_deleted(other.id)
    assert later(catalogue, task, 1, (other, 4)) == [False]


def test_only_the_holder_of_the_lease_has_turns(catalogue: Catalogue) -> None:
    """A try whose shard was taken over neither takes one nor gives up that of its successor."""
    task = working(catalogue, "lease")
    with pytest.raises(LeaseLost):
        catalogue.turns.take(task.id, 0, "somebody else", [(1, b"")])
    with pytest.raises(LeaseLost):
        catalogue.turns.give_up(task.id, 0, "somebody else", 1)


def test_of_two_at_once_exactly_one_is_later(catalogue: Catalogue) -> None:
    """Whoever looks after its turn: never do both believe that the other one is, and never neither of them."""
    tasks = working(catalogue, "race"), working(catalogue, "race")
    barrier = Barrier(2)

    def look(which: int) -> list[bool]:
        mine, others, found = tasks[which], tasks[1 - which], []
        for row in range(1, ROWS + 1):
            barrier.wait(30)
            catalogue.turns.take(mine.id, 0, "me", [(row, b"")])
            found += later(catalogue, mine, row, (others, row))
        return found

    with ThreadPoolExecutor(2) as threads:
        one, two = threads.map(look, range(2))
    assert [first != second for first, second in zip(one, two, strict=True)] == [True] * ROWS


def test_a_turn_is_for_a_picture(catalogue: Catalogue) -> None:
    """If a row was noted without one, or with another one, the others see which it is now, and when it came."""
    task = working(catalogue, "a turn for a picture")
    catalogue.turns.take(task.id, 0, "me", [(1, b"p")])
    catalogue.turns.take(task.id, 0, "me", [(2, b"p")])
    assert [catalogue.pictures.of_task(task.id, row, b"p") for row in (1, 2)] == [[], [(task.id, 1, "")]]
    catalogue.turns.take(task.id, 0, "me", [(1, b"q"), (2, b"p")])
    assert later(catalogue, task, 2, (task, 1)) == [True]
    catalogue.turns.take(task.id, 0, "me", [(2, b"q")])
    assert [catalogue.pictures.of_task(task.id, row, b"q") for row in (1, 2)] == [[], [(task.id, 1, "")]]
    assert [entry.digest for entry in catalogue.journal.of_rows(task.id, 1, 3).values()] == [b"q", b"q", b""]


@pytest.mark.parametrize("entry", ["nightly", ""])
def test_another_face_of_a_row_has_a_turn_of_its_own(catalogue: Catalogue, entry: str) -> None:
    """A recurring import's made id changes with the picture; the id of any other import's row stays what it is."""
    task = working(catalogue, f"another face {entry}", entry)
    for row in (1, 2):
        catalogue.turns.take(task.id, 0, "me", [(row, b"p")])
    assert catalogue.journal.note(task.id, 0, "me", [Sent(1, "another", b"q")]) == {}
    entries = catalogue.journal.of_rows(task.id, 1, 2)
    assert entries[2] == Sent(2, face(task.id, 2), b"p")
    if entry:
        assert entries[1] == Sent(1, "another", b"q")
        assert catalogue.turns.later(task.id, 2, ["another"]) == {"another"}
    else:
        assert entries[1] == Sent(1, face(task.id, 1), b"p")
        assert later(catalogue, task, 2, (task, 1)) == [False]
