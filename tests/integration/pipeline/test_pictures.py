"""Each image once in a recurring import of changes only, whatever moves from row to row between its files (ADR 33)."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text

from face_import.catalogue import Changed, Holdings, ImportTask, Ledger
from face_import.clients.services import LibraryService
from face_import.domain.failed_rows import FailedRows
from face_import.domain.guard import Guard
from face_import.domain.models import Changes
from tests.integration.pipeline.test_changes import HEAD, Crashed, LedgerCrashed, Night, _broken, night, sha
from tests.integration.pipeline.test_doubt import codes, killed
from tests.integration.pipeline.test_lookalikes import PEOPLE, persons, twice

__all__ = ["night"]  # the fixture

ONCE = Guard(same_picture=1)


class Files:
    """Runs of one entry over files that say which picture each person has, by number."""

    def __init__(self, night: Night) -> None:
        self.night, self.bench = night, night.bench
        night.show(**{f"p{n}": {"n": n} for n in range(60)})

    def task(self, pictures: Mapping[str, int], *, tag: str = "t", mark: str = "", **options: Any) -> ImportTask:
        """The import of a run; the picture of each person is under a URI of its own."""
        lines = [
            f"{self.night.uri(f'p{n}', mark)}{'&' if mark else '?'}of={who},{tag},d,{who}"
            for who, n in pictures.items()
        ]
        return self.bench.task([HEAD, *lines], **{"entry": "nightly", "guard": ONCE, "thread_num": 1} | options)

    async def run(self, pictures: Mapping[str, int], **options: Any) -> ImportTask:
        """A whole run."""
        task = self.task(pictures, **options)
        await self.night.end(task)
        return task

    async def retry(self, task: ImportTask) -> None:
        """Try the failed rows of a run again."""
        if self.bench.catalogue.reopening.reopen(task.id, FailedRows()):
            self.bench.catalogue.tasks.start(task.id)
            await self.night.end(self.bench.catalogue.tasks.get(task.id))

    def group(self) -> dict[str, int]:
        """The pictures in the group by person, as the library has them."""
        numbers = {sha({"n": n}): n for n in range(60)}
        return {who: numbers[picture] for who, picture in self.night.faces().items()}


@pytest.fixture
def files(night: Night) -> Files:
    """No run yet."""
    return Files(night)


async def test_a_picture_of_an_earlier_run_is_not_imported_again(files: Files) -> None:
    """The message says where it was last. The row that has it is unchanged, and may be given another tag."""
    first = await files.run({"ada": 1, "bob": 2})
    assert files.bench.failures(await files.run({"new": 2})) == {
        1: (103, f"same picture as row 2 of import {first.id}")
    }
    for tag, changes in (("t", Changes(unchanged=2)), ("other", Changes(changed=2))):
        task = await files.run({"new": 2, "ada": 1, "bob": 2}, tag=tag)
        ((row, (code, _)),) = files.bench.failures(task).items()
        assert (row, code) == (1, 103)
        assert files.night.changes(task) == changes
    assert files.group() == {"ada": 1, "bob": 2}
    assert files.night.library.record()["violations"] == []


async def test_a_picture_counts_for_its_entry_and_group(files: Files) -> None:
    """And only for imports that ask for it."""
    await files.run({"ada": 1})
    assert files.bench.succeeded(await files.run({"second": 1}, entry="weekly")) == 1
    assert files.bench.succeeded(await files.run({"third": 1}, entry="")) == 1
    assert files.bench.succeeded(await files.run({"fourth": 1}, guard=Guard())) == 1
    assert files.bench.failures(await files.run({"fifth": 1}))[1][0] == 103


MOVES: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "to a row below": ({"a": 1, "b": 2}, {"a": 3, "b": 1}),
    "to a row above": ({"b": 2, "a": 1}, {"b": 1, "a": 3}),
    "to a new row": ({"a": 1}, {"b": 1, "a": 3}),
    "exchanged": ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
    "in a circle": ({"a": 1, "b": 2, "c": 3}, {"a": 2, "b": 3, "c": 1}),
    "all down a row": ({f"p{n}": n for n in range(12)}, {f"p{n}": n + 1 for n in range(12)}),
    "all up a row": ({f"p{n}": n + 1 for n in range(12)}, {f"p{n}": n for n in range(12)}),
}


@pytest.mark.parametrize("again", ["next run", "retry"])
@pytest.mark.parametrize("thread_num", [1, 8])
@pytest.mark.parametrize("move", MOVES)
async def test_moved_pictures_are_right_after_one_more_run(
    files: Files, move: str, thread_num: int, again: str
) -> None:
    """In the first one a row may find that another one still has its picture: it fails, and nothing else does."""
    before, after = MOVES[move]
    await files.run(before)
    task = await files.run(after, thread_num=thread_num)
    assert {code for code, _ in files.bench.failures(task).values()} <= {103}
    if again == "retry":
        await files.retry(task)
    else:
        task = await files.run(after, thread_num=thread_num)
    assert codes(files.bench, task) == {0: len(after)}
    assert files.group() == after
    assert files.night.library.record()["violations"] == []


async def test_a_changed_row_that_fails_keeps_its_face_and_the_picture(files: Files) -> None:
    """The old face is in the group still; if it is the picture that fails, its own one is free for others."""
    await files.run({"a": 1, "b": 2})
    files.night.show(p1={"n": 1}, p2={"n": 2}, p3={"n": 3, "faces": []})
    task = await files.run({"a": 3, "c": 1})
    assert {row: code for row, (code, _) in files.bench.failures(task).items()} == {1: 201, 2: 103}
    for _ in range(2):
        task = await files.run({"a": 2, "c": 1})
    assert {row: code for row, (code, _) in files.bench.failures(task).items()} == {1: 103}
    assert files.group() == {"a": 1, "b": 2, "c": 1}
    back = await files.run({"a": 1, "c": 1})
    assert files.bench.failures(back)[1][1].startswith("same picture as row 2")
    assert files.night.changes(back) == Changes(unchanged=1, gone=1)


async def test_a_row_may_come_back_to_its_picture(files: Files) -> None:
    """It had been refused another one, and nobody has taken its own meanwhile: from then on it has it again."""
    await files.run({"a": 1, "b": 2})
    assert files.bench.failures(await files.run({"a": 2, "b": 2}))[1][0] == 103
    assert files.night.changes(await files.run({"a": 1, "b": 2})) == Changes(unchanged=2)
    assert codes(files.bench, await files.run({"a": 1, "b": 2, "c": 1})) == {0: 2, 103: 1}


async def test_a_renamed_person_waits_until_the_old_face_has_gone(files: Files) -> None:
    """The face of a row that the file has lost stays in the group, until somebody deletes it there."""
    await files.run({"old": 1})
    first = files.bench.failures(await files.run({"renamed": 1}))
    assert first == files.bench.failures(await files.run({"renamed": 1}))
    assert first[1][0] == 103
    assert files.group() == {"old": 1}
    async with LibraryService(files.bench.settings) as library:
        await library.delete("staff", ["old"])
    files.night.library.control(faults=[{"kind": "search", "status": 404, "text": "404 page not found"}])
    assert files.bench.failures(await files.run({"renamed": 1})) == first, "a library without a search cannot tell"
    files.night.library.control()
    assert codes(files.bench, await files.run({"renamed": 1})) == {0: 1}
    assert files.group() == {"renamed": 1}
    assert files.night.changes(await files.run({"renamed": 1})) == Changes(unchanged=1, gone=1)


async def test_an_undone_face_frees_its_picture(files: Files) -> None:
    """And so does one that new limits have removed."""
    task = await files.run({"a": 1})
    await files.night.end(files.bench.undo(task))
    task = await files.run({"b": 1})
    assert files.group() == {"b": 1}
    files.bench.catalogue.new_limits.apply(task.id, Changed({"width": 9999}))
    files.bench.catalogue.tasks.start(task.id)
    await files.night.end(files.bench.catalogue.tasks.get(task.id))
    assert files.group() == {}
    assert codes(files.bench, await files.run({"c": 1})) == {0: 1}


async def test_a_face_that_the_library_refused_has_no_picture(files: Files) -> None:
    """The changed row has none in the group afterwards, neither the old one nor the new one."""
    await files.run({"a": 1})
    files.night.show(p1={"n": 1}, p2={"n": 2, "add": "No face found"})
    refused = {1: (201, "the face library refuses the face (No face found)")}
    assert files.bench.failures(await files.run({"a": 2})) == refused
    assert (
        files.bench.failures(await files.run({"a": 2, "b": 1})) == refused
    )  # in one run b may come before a has failed
    assert files.group() == {"b": 1}


@pytest.mark.parametrize("mark", ["etag", "date"])
async def test_pictures_of_before_are_found_out_once(files: Files, mark: str) -> None:
    """Of rows imported before an upgrade it is not known which picture they have: a 304 would not tell."""
    await files.run({"a": 1}, mark=mark)
    with files.bench.catalogue.engine.begin() as connection:
        connection.execute(text("UPDATE holding SET picture = NULL"))
    images = files.bench.images
    assert files.night.changes(await files.run({"a": 1}, guard=Guard(), mark=mark)) == Changes(unchanged=1)
    assert images.record()["not_modified"] == 1
    for modified in (1, 2):
        task = await files.run({"a": 1, "b": 1}, mark=mark)
        assert images.record()["not_modified"] == modified
        assert codes(files.bench, task) == {0: 1, 103: 1}
    assert files.group() == {"a": 1}


@pytest.mark.parametrize("ids", [False, True], ids=["made ids", "own ids"])
async def test_a_killed_run_imports_a_picture_once(night: Night, *, ids: bool) -> None:
    """Wherever it dies; the next run finds what is there unchanged, and refuses the same number of rows."""
    bench = night.bench
    bench.services.control(delay_s={"add": 0.03, "delete": 0.1})
    lines = [f"{uri},t,d,{f'id{n}' if ids else ''}" for n, uri in enumerate(twice(bench, 20))]
    task = bench.task([HEAD, *lines], guard=ONCE, thread_num=20, entry="nightly")
    await killed(bench, task, lambda: bench.services.record()["by_kind"].get("delete", 0) >= 2)
    await night.end(task)
    for again in (False, True):
        if again:
            task = bench.task([HEAD, *lines], guard=ONCE, thread_num=20, entry="nightly")
            await night.end(task)
        assert codes(bench, task) == {0: 20, 103: 20}
        assert persons(bench, task) == dict.fromkeys(range(20), 1)
    assert night.changes(task) == Changes(unchanged=20)


async def test_two_imports_of_an_entry_at_once_have_a_picture_once(night: Night) -> None:
    """Of different rows, which do not know of each other but by their turns."""
    bench = night.bench
    bench.services.control(delay_s={"add": 0.02})
    lines = [f"{uri},t,d,id{n}" for n, uri in enumerate(twice(bench, PEOPLE))]
    tasks = [bench.task([HEAD, *lines[which::2]], guard=ONCE, thread_num=10, entry="nightly") for which in range(2)]
    await asyncio.gather(*(bench.run(task) for task in tasks))
    failed = [bench.failures(task) for task in tasks]
    assert set(failed[0]).isdisjoint(failed[1])
    assert len(failed[0]) + len(failed[1]) == PEOPLE
    assert len(set(night.faces().values())) == len(night.faces()) == PEOPLE
    for failures, other in zip(failed, reversed(tasks), strict=True):
        assert (
            failures.items()
            <= {row: (103, f"same picture as row {row} of import {other.id}") for row in range(1, PEOPLE + 1)}.items()
        )


STEPS: dict[str, tuple[type, str, bool]] = {
    "before reserve": (Holdings, "reserve", False),
    "after reserve": (Holdings, "reserve", True),
    "after delete": (LibraryService, "delete", True),
    "after add": (LibraryService, "add", True),
    "before the outcome": (Ledger, "write", False),
    "after the outcome": (Ledger, "write", True),
}


@pytest.mark.parametrize("then", ["the next try", "the next run", "the old picture"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_leaves_a_picture_with_one_row(
    files: Files, monkeypatch: pytest.MonkeyPatch, step: str, then: str
) -> None:
    """The row that it belongs to now gets it, by the run after the next one at the latest."""
    await files.run({"a": 1, "b": 2})
    owner, name, done = STEPS[step]
    task = files.task({"a": 3})
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _broken(getattr(owner, name), done=done))
        with pytest.raises((Crashed, LedgerCrashed)):
            await files.bench.run(task)
    if then == "the next try":
        await files.night.end(task)
        assert codes(files.bench, task) == {0: 1}
    else:
        files.bench.catalogue.tasks.stop(task.id)
    wanted = {"a": 1, "c": 4} if then == "the old picture" else {"a": 3, "c": 1}
    for _ in range(2):
        task = await files.run(wanted)
    if then == "the old picture" and step in {"after add", "before the outcome"}:
        assert {row: code for row, (code, _) in files.bench.failures(task).items()} == {1: 104}, "it may be ours"
        wanted["a"] = 3
    else:
        assert files.bench.failures(task) == {}
    assert files.group() == wanted | {"b": 2}


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_moves_every_row_is_right_in_the_end(
    files: Files, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Files at random, some of whose runs die: a row has its picture, or another face of the group has it."""
    pick, failed = random.Random(seed), set[str]()  # noqa: S311 - the same each time
    for _ in range(4):
        wanted = {who: pick.randrange(7) for who in pick.sample("abcdef", pick.randint(2, 6))}
        if crashes := pick.random() < 0.5:
            owner, name, done = pick.choice(list(STEPS.values()))
            task = files.task(wanted, thread_num=4)
            with monkeypatch.context() as patch, suppress(Crashed, LedgerCrashed):
                patch.setattr(owner, name, _broken(getattr(owner, name), done=done))
                await files.bench.run(task)
            files.bench.catalogue.tasks.stop(task.id)
        for _ in range(3 if crashes else 2):
            task = await files.run(wanted, thread_num=4)
        group, failures = files.group(), files.bench.failures(task)
        assert {code for code, _ in failures.values()} <= {103}
        for row, (who, picture) in enumerate(wanted.items(), 1):
            has = [other for other, its in group.items() if its == picture]
            assert set(has) - {who} if row in failures else who in has, (who, wanted, group, failures)
        failed = failed - wanted.keys() | {list(wanted)[row - 1] for row in failures}
        kept = [picture for who, picture in group.items() if who not in failed]
        assert len(kept) == len(set(kept)), (wanted, group, failures)
