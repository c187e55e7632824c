"""Faces that look like another tag's, or unlike their own tag's, against a library that searches (ADR 33)."""

import asyncio
from collections import Counter

import pytest

from face_import.catalogue import ImportTask, Selection
from face_import.contract import OnAlike, Rows
from face_import.domain.failed_rows import FailedRows
from face_import.domain.guard import Guard
from face_import.domain.identity import made_face_id
from face_import.domain.models import Scope, Sent
from face_import.errors import TaskFailed
from tests.integration.pipeline.conftest import Bench
from tests.integration.pipeline.test_changes import Night, night
from tests.integration.pipeline.test_doubt import codes, killed
from tests.waiting import eventually

__all__ = ["night"]  # the fixture

ALIKE = Guard(alike=0.7)
PEOPLE = 50
HEADER = "uri,tag,description,id"


def line(bench: Bench, n: int, person: str, tag: str, face_id: str = "", **spec: object) -> str:
    """A row with a picture of its own."""
    return f"{bench.images.image(n=n, person=person, **spec)},{tag},,{face_id}"


def conflicting(bench: Bench, people: int, *, ids: bool, round_: int = 0) -> list[str]:
    """Each person under two tags, one row after the other, so that both are in flight at once."""
    return [
        HEADER,
        *(
            line(bench, 2 * n + which + 1000 * round_, f"p{n}", f"t{n}-{which}", f"{n}-{which}" if ids else "")
            for n in range(people)
            for which in range(2)
        ),
    ]


def persons(bench: Bench, task: ImportTask) -> Counter[str]:
    """Rows of the group by person, as the ledger has them: a face for each success, and no other."""
    rows = [n for n in range(1, task.total_num + 1) if n not in bench.failures(task)]
    assert bench.services.record()["groups"].get("staff", 0) == len(rows)
    return Counter((row - 1) // 2 for row in rows)  # type: ignore[misc]


def completed(bench: Bench, task: ImportTask) -> ImportTask:
    """A task whose rows are done."""
    assert bench.catalogue.tasks.complete(task.id)
    return bench.catalogue.tasks.get(task.id)


async def test_a_face_with_another_tag_is_refused(bench: Bench) -> None:
    """The message says whose face it is and how alike; the same person under the same tag is welcome."""
    first = bench.task(
        [HEADER, line(bench, 1, "ada", "Ada Lovelace", "emp-1"), line(bench, 2, "grace", "Grace Hopper")]
    )
    await bench.run(first)
    rows = [
        HEADER,
        line(bench, 3, "ada", "Grace Hopper"),
        line(bench, 4, "ada", "Ada Lovelace"),
        line(bench, 5, "ada", "somebody", alike=0.6),
        line(bench, 6, "new", "new"),
    ]
    task = bench.task(rows, guard=ALIKE, thread_num=1)
    await bench.run(task)
    assert bench.failures(task) == {1: (105, "looks like emp-1 (Ada Lovelace), 0.8")}
    assert bench.services.record()["groups"] == {"staff": 5}
    assert bench.services.record()["by_kind"].get("delete", 0) == 0
    assert bench.catalogue.journal.of_rows(task.id, 1, 9) == {}
    assert bench.catalogue.outcomes.nearest(task.id, range(1, 5)) == {1: ("emp-1", 0.8)}


async def test_a_face_unlike_its_own_tag_is_refused(bench: Bench) -> None:
    """One that resembles some face of its tag is not, nor the first face of a tag."""
    await bench.run(
        bench.task([HEADER, line(bench, 1, "ada", "ada", "emp-1"), line(bench, 2, "old ada", "ada", "emp-2")])
    )
    rows = [
        HEADER,
        line(bench, 3, "grace", "ada"),
        line(bench, 4, "old ada", "ada"),
        line(bench, 5, "grace", "grace"),
        line(bench, 6, "ada", "ada", alike=0.4),
    ]
    task = bench.task(rows, guard=Guard(alike_tag=0.5), thread_num=1)
    await bench.run(task)
    assert bench.failures(task) == {
        1: (106, "unlike the faces with its tag; the nearest is emp-1 (ada), 0"),
        4: (106, "unlike the faces with its tag; the nearest is emp-1 (ada), 0.4"),
    }


async def test_a_finding_can_be_noted_only(bench: Bench) -> None:
    """The row is imported, its result says what was found, and nothing is taken back."""
    rows = [HEADER, line(bench, 1, "ada", "Ada"), line(bench, 2, "ada", "Grace")]
    task = bench.task(rows, guard=Guard(alike=0.7, on_alike=OnAlike.NOTE), thread_num=1)
    await bench.run(task)
    assert codes(bench, task) == {0: 2}
    (page,) = bench.catalogue.outcomes.pages(task.id, Selection(Rows.ALL), 2)
    assert [row[3] for row in page] == ["", f"looks like {task.id}-1 (Ada), 0.8"]
    assert bench.catalogue.outcomes.nearest(task.id, [1, 2]) == {2: (f"{task.id}-1", 0.8)}
    await bench.run(bench.undo(completed(bench, task)))
    assert bench.catalogue.outcomes.nearest(task.id, [1, 2]) == {}


@pytest.mark.parametrize("ids", [False, True], ids=["made ids", "own ids"])
async def test_of_two_rows_in_flight_exactly_one_stays(bench: Bench, *, ids: bool) -> None:
    """Neither sees the other before its add; the later takes its own face back."""
    bench.services.control(delay_s={"add": 0.02, "search": 0.01})
    task = bench.task(conflicting(bench, PEOPLE, ids=ids), guard=ALIKE, thread_num=20)
    await bench.run(task)
    assert codes(bench, task) == {0: PEOPLE, 105: PEOPLE}
    assert persons(bench, task) == Counter(range(PEOPLE))
    assert bench.services.record()["by_kind"]["delete"] > 0
    assert bench.services.record()["violations"] == []
    assert bench.catalogue.journal.of_rows(task.id, 1, task.total_num) == {}


async def test_of_two_imports_at_once_exactly_one_has_a_person(bench: Bench) -> None:
    """They see each other's faces in the group and each other's turns in the catalogue."""
    bench.services.control(delay_s={"add": 0.02, "search": 0.01})
    rows = conflicting(bench, PEOPLE, ids=True)[1:]
    tasks = [bench.task([HEADER, *rows[which::2]], guard=ALIKE, thread_num=10) for which in range(2)]
    await asyncio.gather(*(bench.run(task) for task in tasks))
    failed = [set(bench.failures(task)) for task in tasks]
    assert failed[0].isdisjoint(failed[1])
    assert len(failed[0] | failed[1]) == PEOPLE
    assert bench.services.record()["groups"] == {"staff": PEOPLE}


@pytest.mark.parametrize("ids", [False, True], ids=["made ids", "own ids"])
async def test_a_killed_try_leaves_one_face_of_a_person(bench: Bench, *, ids: bool) -> None:
    """Wherever it dies: before an add, after it, with a turn, while it takes its own face back."""
    bench.services.control(delay_s={"add": 0.03, "search": 0.03, "delete": 0.1})
    task = bench.task(conflicting(bench, 20, ids=ids), guard=ALIKE, thread_num=20)
    for deletes in (1, 4, 8):
        await killed(bench, task, lambda most=deletes: bench.services.record()["by_kind"].get("delete", 0) >= most)
    await bench.run(task)
    assert codes(bench, task) == {0: 20, 105: 20}
    assert persons(bench, task) == Counter(range(20))


@pytest.mark.parametrize("ids", [False, True], ids=["made ids", "own ids"])
async def test_a_recurring_import_has_one_face_of_a_person(night: Night, *, ids: bool) -> None:
    """Also if its try is killed; the next run leaves what is there, and refuses the same persons again."""
    bench = night.bench
    bench.services.control(delay_s={"add": 0.03, "search": 0.03, "delete": 0.1})
    lines = conflicting(bench, 20, ids=ids)
    task = bench.task(lines, guard=ALIKE, thread_num=20, entry="nightly")
    await killed(bench, task, lambda: bench.services.record()["by_kind"].get("delete", 0) >= 3)
    await night.end(task)
    assert codes(bench, task) == {0: 20, 105: 20}
    assert persons(bench, task) == Counter(range(20))
    again = bench.task(lines, guard=ALIKE, thread_num=20, entry="nightly")
    await night.end(again)
    assert codes(bench, again) == {0: 20, 105: 20}
    assert persons(bench, again) == Counter(range(20))
    assert night.changes(again).unchanged == 20


@pytest.mark.parametrize("face_id", ["", "emp-1"], ids=["made id", "own id"])
async def test_a_row_with_a_new_tag_is_not_compared_with_its_own_face(night: Night, face_id: str) -> None:
    """The old face goes; that of another row with the old tag is in the way."""
    bench = night.bench
    old, new = (line(bench, 1, "ada", tag, face_id) for tag in ("Ada Byron", "Ada Lovelace"))
    for row in (old, new):
        task = bench.task([HEADER, row], guard=ALIKE, entry="nightly")
        await night.end(task)
        assert codes(bench, task) == {0: 1}
    await bench.run(bench.task([HEADER, line(bench, 2, "ada", "Ada Byron", "other")]))
    before = night.faces()
    task = bench.task([HEADER, line(bench, 3, "ada", "Ada Lovelace", face_id or "emp-2")], guard=ALIKE, entry="nightly")
    await night.end(task)
    assert bench.failures(task) == {1: (105, "looks like other (Ada Byron), 0.8")}
    assert night.faces() == before


def twice(bench: Bench, count: int) -> list[str]:
    """Pictures that come two times, one row after the other, under URIs of their own."""
    bench.images.control(pictures={f"p{n}": {"n": n} for n in range(count)})
    return [f"{bench.images.url}/named/p{n}?{which}" for n in range(count) for which in range(2)]


async def test_the_same_picture_is_imported_once(bench: Bench) -> None:
    """Of two rows in flight too; the other one says which row has it. Another import may have it again."""
    bench.services.control(delay_s={"add": 0.02})
    task = bench.task(twice(bench, PEOPLE), guard=Guard(same_picture=1), thread_num=20)
    await bench.run(task)
    assert codes(bench, task) == {0: PEOPLE, 103: PEOPLE}
    assert persons(bench, task) == Counter(range(PEOPLE))
    for row, (_, message) in bench.failures(task).items():
        assert message == f"same picture as row {row - 1 if row % 2 == 0 else row + 1}"
    assert "search" not in bench.services.record()["by_kind"]
    again = bench.task(twice(bench, 1), guard=Guard(same_picture=1))
    await bench.run(again)
    assert codes(bench, again) == {0: 1, 103: 1}


async def test_a_killed_try_imports_the_same_picture_once(bench: Bench) -> None:
    """What the ledger has and what is in the journal are looked at together."""
    bench.services.control(delay_s={"add": 0.03, "delete": 0.1})
    task = bench.task(twice(bench, 20), guard=Guard(same_picture=1), thread_num=20)
    for deletes in (1, 4):
        await killed(bench, task, lambda most=deletes: bench.services.record()["by_kind"].get("delete", 0) >= most)
    await bench.run(task)
    assert codes(bench, task) == {0: 20, 103: 20}
    assert persons(bench, task) == Counter(range(20))


async def test_a_stopped_try_imports_the_same_picture_once(bench: Bench) -> None:
    """What it cut off was noted without its picture; the other row sees it once the face is in the group."""
    bench.services.control(delay_s={"add": 0.02})
    task = bench.task(twice(bench, 20), guard=Guard(same_picture=1), thread_num=20)
    cut_off = [Sent(row, made_face_id(task.id, row), b"") for row in range(1, 21, 2)]
    assert bench.catalogue.leases.take(task.id, 0, "stopped", 20)
    assert bench.catalogue.journal.note(task.id, 0, "stopped", cut_off) == {}
    bench.catalogue.leases.give_back(task.id, 0, "stopped", in_doubt=False)
    await bench.run(task)
    assert codes(bench, task) == {0: 20, 103: 20}
    assert persons(bench, task) == Counter(range(20))


async def test_a_picture_whose_row_failed_may_be_imported_by_another(bench: Bench) -> None:
    """The first one's id is somebody else's; and a comparison that is only noted keeps nobody out."""
    await bench.run(bench.task([HEADER, line(bench, 9, "ada", "ada", "taken")]))
    image = bench.images.image(n=1, person="ada")
    guard = Guard(same_picture=1, alike=0.7, on_alike=OnAlike.NOTE)
    rows = [HEADER, f"{image},grace,,taken", f"{image}?2,grace,,free", f"{image}?3,grace,,late"]
    task = bench.task(rows, guard=guard, thread_num=1)
    await bench.run(task)
    failures = bench.failures(task)
    assert failures.pop(1)[0] == 104
    ((row, failure),) = failures.items()  # either of the others was first: rows step aside for each other
    assert failure == (103, f"same picture as row {5 - row}")
    (page,) = bench.catalogue.outcomes.pages(task.id, Selection(Rows.IMPORTED), 3)
    assert [row[3] for row in page] == ["looks like taken (ada), 0.8"]


async def test_a_dry_run_says_what_the_group_speaks_against(bench: Bench) -> None:
    """Nothing is added; without a group there is nothing to compare with."""
    rows = [HEADER, line(bench, 2, "ada", "Grace"), line(bench, 3, "new", "new")]
    await bench.run(bench.task([HEADER, line(bench, 1, "ada", "Ada", "emp-1")]))
    task = bench.task(rows, guard=ALIKE, scope=Scope(dry_run=1))
    await bench.run(task)
    assert bench.failures(task) == {1: (105, "looks like emp-1 (Ada), 0.8")}
    assert bench.services.record()["groups"] == {"staff": 1}
    bench.services.control(faults=[{"kind": "search", "status": 404, "text": "group staff is not exist"}])
    task = bench.task(rows, guard=ALIKE, scope=Scope(dry_run=1))
    await bench.run(task)
    assert codes(bench, task) == {0: 2}


async def test_a_library_that_does_not_search_halts_the_import(bench: Bench) -> None:
    """Nothing is added, and the text says what needs the search."""
    bench.services.control(faults=[{"kind": "search", "status": 404, "text": "404 page not found"}])
    task = bench.task([HEADER, line(bench, 1, "ada", "ada")], guard=ALIKE)
    with pytest.raises(TaskFailed, match="alike and alike_tag need a face library that searches"):
        await bench.run(task)
    assert bench.services.record()["groups"] == {"staff": 0}


async def test_what_was_not_compared_is_not_called_imported(bench: Bench) -> None:
    """The search fails after the add: the row is 302, and a retry compares what is in the group already."""
    bench.services.control(delay_s={"add": 0.3})
    task = bench.task([HEADER, line(bench, 1, "ada", "ada", "emp-1")], guard=ALIKE)

    async def break_search(_: object) -> None:
        await eventually(lambda: bench.services.record()["by_kind"].get("search"))
        bench.services.control(faults=[{"kind": "search", "status": 503}])

    await bench.run(task, use=break_search)
    ((code, message),) = bench.failures(task).values()
    assert code == 302
    assert "the face is in the group as 'emp-1', and not compared" in message
    bench.services.control()
    await bench.run(bench.task([HEADER, line(bench, 2, "ada", "grace", "emp-2")]))
    assert bench.catalogue.tasks.complete(task.id)
    assert bench.catalogue.reopening.reopen(task.id, FailedRows()) == 1
    bench.catalogue.tasks.start(task.id)
    await bench.run(bench.catalogue.tasks.get(task.id))
    assert bench.failures(task) == {1: (105, "looks like emp-2 (grace), 0.8")}
    assert bench.services.record(all=1)["faces"]["staff"].keys() == {"emp-2"}
