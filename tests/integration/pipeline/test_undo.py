"""Undoing an import: the group is what it was before, and nothing of a later import goes."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from face_import.catalogue import Changed, Holdings, ImportTask, Ledger
from face_import.catalogue.schema import holding, outcome, sent
from face_import.clients.services import LibraryService
from face_import.contract import Code, TaskState
from face_import.domain.failed_rows import FailedRows
from face_import.domain.models import Changes, Outcome, OutcomeBatch, Sent
from face_import.errors import TaskFailed, TaskNotFound, WrongState
from tests.integration.pipeline.test_changes import HEAD, Crashed, LedgerCrashed, Night, _broken, night, sha
from tests.integration.pipeline.test_doubt import killed

__all__ = ["night"]  # the fixture
STRANGE = ['="1"', "a\r\nb", 'say "hi"', "x,y;z", "sep=;", "7 ", "№ 7"]
"""Ids that a reader of CSV, or of what spreadsheets write, could take for others."""


class Group:
    """Imports with own and made ids, and what the group has."""

    def __init__(self, night: Night) -> None:
        self.night, self.bench = night, night.bench

    async def imports(self, *ids: str, first: int = 1, **options: Any) -> ImportTask:
        """A completed import of one row for each id; an empty one is made."""
        uris = [f"{self.bench.images.url}/ok/{first + n}.jpg" for n in range(len(ids))]
        cells = [face_id.replace('"', '""') for face_id in ids]
        lines = [f'{uri},t,d,"{cell}"' for uri, cell in zip(uris, cells, strict=True)]
        task = self.bench.task([HEAD, *lines], **options)
        await self.completes(task)
        return task

    async def completes(self, task: ImportTask) -> dict[int, int]:
        """Work on a task until it is completed; its rows by code."""
        await self.bench.run(task)
        assert self.bench.catalogue.tasks.complete(task.id)
        return self.codes(task)

    async def undone(self, task: ImportTask) -> dict[int, int]:
        """Undo a task; the rows of the undo by code."""
        return await self.completes(self.bench.undo(task))

    def codes(self, task: ImportTask) -> dict[int, int]:
        """Rows by code."""
        return self.bench.catalogue.ledger.progress(task.id).by_code

    def faces(self) -> dict[str, str]:
        """Pictures in the group by face id."""
        return self.night.faces()

    def noted(self) -> list[str]:
        """Ids in the journal."""
        with self.bench.catalogue.engine.connect() as connection:
            return list(connection.scalars(select(sent.c.face_id)))


@pytest.fixture
def group(night: Night) -> Group:
    """A group with one face that was there before."""
    night.bench.settings = night.bench.settings.model_copy(update={"service_timeout_s": 0.5})
    return Group(night)


async def test_the_group_is_what_it_was(group: Group) -> None:
    """Own and made ids, strange ones too; the import's rows say it, and there is nothing to undo any more."""
    await group.imports("before", "")
    before = group.faces()
    task = await group.imports("alice", "", "", *STRANGE, "before", first=10, thread_num=4)
    assert group.codes(task) == {0: 10, 104: 1}
    undo = group.bench.undo(task)
    assert (undo.total_num, undo.config.undoes, undo.config.source) == (10, task.id, f"undo of {task.id}")
    assert await group.completes(undo) == {0: 10}
    assert group.faces() == before
    assert group.noted() == []
    assert group.codes(task) == {0: 10, 104: 1}
    with pytest.raises(WrongState, match="nothing to undo"):
        group.bench.catalogue.undoing.check(task.id)


async def test_what_was_undone_can_be_imported_again(group: Group) -> None:
    """Also if the second import's answers are lost: the first one no longer claims these ids."""
    first = await group.imports("alice", "bob")
    faces = group.faces()
    await group.undone(first)
    group.night.library.control(faults=[{"kind": "add", "action": "reset", "times": 2, "carry_out": True}])
    again = await group.imports("alice", "bob")
    assert group.codes(again) == {0: 2}
    assert group.faces() == faces


async def test_the_faces_of_a_later_import_stay(group: Group) -> None:
    """An id that somebody freed and a later import has used is that one's, as long as it is not undone itself."""
    first = await group.imports("alice", "bob")
    async with LibraryService(group.bench.settings) as library:
        await library.delete("staff", ["alice"])
    second = await group.imports("alice", first=7)
    undo = group.bench.undo(first)
    assert await group.completes(undo) == {0: 1, 107: 1}
    assert group.bench.failures(undo)[1] == (
        107,
        f"row 1 of import {second.id} has added a face with id 'alice' later; that one stays",
    )
    assert list(group.faces()) == ["alice"]
    assert await group.undone(second) == {0: 1}
    assert group.faces() == {}


async def test_an_import_that_may_be_adding_the_id_is_waited_for(group: Group) -> None:
    """Its add is noted: the face stays, and a retry removes it once the other one did not add it."""
    first = await group.imports("alice")
    other = group.bench.task([HEAD, f"{group.bench.images.url}/ok/7.jpg,t,d,alice"])
    group.bench.catalogue.leases.take(other.id, 0, "other", 1)
    noted = group.bench.catalogue.journal.note(other.id, 0, "other", [Sent(1, "alice", b"")])
    assert noted == {}
    undo = group.bench.undo(first)
    assert await group.completes(undo) == {107: 1}
    assert "retry this row" in group.bench.failures(undo)[1][1]
    refused = Outcome(1, "u", Code.DUPLICATE_ID, "the group has a face with id 'alice' already")
    group.bench.catalogue.ledger.write(OutcomeBatch(other.id, 0, "other", (refused,)))
    assert group.bench.catalogue.reopening.reopen(undo.id, FailedRows((Code.REPLACED,))) == 1
    group.bench.catalogue.tasks.start(undo.id)
    assert await group.completes(group.bench.catalogue.tasks.get(undo.id)) == {0: 1}
    assert group.faces() == {}


async def test_no_other_import_adds_an_id_while_it_is_removed(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """A try died after its delete: until the undo has ended, the id is refused to others; afterwards it is free."""
    first = await group.imports("alice")
    undo = group.bench.undo(first)
    with monkeypatch.context() as patch:
        patch.setattr(LibraryService, "delete", _broken(LibraryService.delete, done=True))
        with pytest.raises(Crashed):
            await group.bench.run(undo)
    assert group.faces() == {}
    second = await group.imports("alice", first=7)
    assert group.codes(second) == {104: 1}
    assert await group.completes(undo) == {0: 1}
    third = await group.imports("alice", first=7)
    assert group.codes(third) == {0: 1}
    assert list(group.faces()) == ["alice"]


STEPS: dict[str, tuple[Any, str, bool]] = {
    "before the holding is taken over": (Holdings, "take_over", False),
    "after the holding is taken over": (Holdings, "take_over", True),
    "before the delete": (LibraryService, "delete", False),
    "after the delete": (LibraryService, "delete", True),
    "before the outcome": (Ledger, "write", False),
    "after the outcome": (Ledger, "write", True),
}


@pytest.mark.parametrize("face_id", ["", "alice"], ids=["made id", "own id"])
@pytest.mark.parametrize(
    ("step", "entry"),
    [
        (step, entry)
        for step, (_, name, _) in STEPS.items()
        for entry in ("", "nightly")
        if entry or name != "take_over"
    ],
)
async def test_a_crash_between_any_two_steps(
    group: Group, monkeypatch: pytest.MonkeyPatch, step: str, face_id: str, entry: str
) -> None:
    """The next try removes the face; the entry has forgotten it, and adds it again."""
    owner, name, done = STEPS[step]
    before = await group.imports("before")
    task = await group.imports(face_id, first=7, entry=entry)
    undo = group.bench.undo(task)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _broken(getattr(owner, name), done=done))
        with pytest.raises((Crashed, LedgerCrashed)):
            await group.bench.run(undo)
    assert await group.completes(undo) == {0: 1}
    assert list(group.faces()) == ["before"]
    assert group.codes(before) == {0: 1}
    assert group.noted() == []
    again = await group.imports(face_id, first=7, entry=entry)
    assert group.codes(again) == {0: 1}
    assert len(group.faces()) == 2


async def test_an_entry_takes_up_what_was_undone(group: Group) -> None:
    """What the undone run added is new to the next run; what it had found unchanged stays."""
    options = {"entry": "nightly"}
    await group.imports("a", "", **options)
    second = await group.imports("a", "", "c", "", **options)
    assert group.night.changes(second) == Changes(new=2, unchanged=2)
    undo = group.bench.undo(second)
    assert undo.total_num == 2
    assert await group.completes(undo) == {0: 2}
    assert group.bench.catalogue.tasks.get(undo.id).gone_num == 0
    assert len(group.faces()) == 2
    third = await group.imports("a", "", "c", "", **options)
    assert group.night.changes(third) == Changes(new=2, unchanged=2)
    assert len(group.faces()) == 4


async def test_what_a_later_run_has_replaced_or_confirmed_stays(group: Group) -> None:
    """The holding names another import: its face is no longer the undone one's."""
    lines = f"{group.night.uri('a')},t,d,", f"{group.night.uri('b')},t,d,bob"
    group.night.show(a={"n": 1}, b={"n": 2})
    first = await group.night.run(*lines)
    group.night.show(a={"n": 1}, b={"n": 3})
    await group.night.run(*lines)
    faces = group.faces()
    assert await group.undone(first) == {107: 2}
    assert group.faces() == faces
    assert faces["bob"] == sha({"n": 3})


async def test_a_face_that_stays_is_given_back_to_its_entry(group: Group) -> None:
    """Another import may be adding the entry's own id: nothing was changed, in the group or in the holdings."""
    task = await group.imports("alice", entry="nightly")
    other = group.bench.task([HEAD, f"{group.bench.images.url}/ok/7.jpg,t,d,alice"])
    group.bench.catalogue.leases.take(other.id, 0, "other", 1)
    group.bench.catalogue.journal.note(other.id, 0, "other", [Sent(1, "alice", b"")])

    def held() -> Any:
        with group.bench.catalogue.engine.connect() as connection:
            return connection.execute(select(holding)).one()

    before = held()
    assert await group.undone(task) == {107: 1}
    assert held() == before
    assert list(group.faces()) == ["alice"]


async def test_a_removal_that_was_not_finished_is_undone(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """New limits asked for it: the library does not answer the delete, or the try dies before it sends one."""
    for killed_before in (False, True):
        task = await group.imports("alice", entry="nightly")
        group.bench.catalogue.new_limits.apply(task.id, Changed({"width": 9000}))
        group.bench.catalogue.tasks.start(task.id)
        task = group.bench.catalogue.tasks.get(task.id)
        if killed_before:
            with monkeypatch.context() as patch:
                patch.setattr(LibraryService, "delete", _broken(LibraryService.delete, done=False))
                with pytest.raises(Crashed):
                    await group.bench.run(task)
            group.bench.catalogue.tasks.stop(task.id)
        else:
            group.night.library.control(faults=[{"kind": "delete"}])
            assert await group.completes(task) == {302: 1}
            group.night.library.control()
        assert list(group.faces()) == ["alice"]
        assert await group.undone(task) == {0: 1}
        assert (group.faces(), group.noted()) == ({}, [])


async def test_answers_that_are_lost_and_late(group: Group) -> None:
    """Deletes are repeated; an outage that outlasts the patience is 302, and retried."""
    task = await group.imports("alice", "")
    group.night.library.control(faults=[{"kind": "delete", "action": "reset", "times": 2, "carry_out": True}])
    assert await group.undone(task) == {0: 2}
    assert group.faces() == {}

    task = await group.imports("alice", "", thread_num=1)
    group.night.library.control(faults=[{"kind": "delete"}])
    undo = group.bench.undo(task)
    assert await group.completes(undo) == {302: 2}
    assert len(group.faces()) == 2
    group.night.library.control()
    assert group.bench.catalogue.reopening.reopen(undo.id, FailedRows()) == 2
    group.bench.catalogue.tasks.start(undo.id)
    assert await group.completes(group.bench.catalogue.tasks.get(undo.id)) == {0: 2}
    assert group.faces() == {}


async def test_a_library_that_refuses_all_deletes_stops_the_task(group: Group) -> None:
    """Its rows stay unhandled, as those of an import would."""
    task = await group.imports(*([""] * 12))
    group.night.library.control(faults=[{"kind": "delete", "status": 401, "text": "token expired"}])
    undo = group.bench.undo(task)
    with pytest.raises(TaskFailed, match="token expired"):
        await group.bench.run(undo)
    assert group.codes(undo) == {}
    group.night.library.control()
    assert await group.completes(undo) == {0: 12}


async def test_a_group_that_is_gone_has_no_faces(group: Group) -> None:
    """All rows are removed, and the group is not made again."""
    task = await group.imports("alice", "")
    await asyncio.to_thread(group.night.library.post, "/v1/face/groups/staff/remove")
    assert await group.undone(task) == {0: 2}
    assert "staff" not in group.night.library.record(all=1)["faces"]


async def test_kill_9_in_an_undo(group: Group) -> None:
    """A process is killed again and again in the middle of it."""
    await group.imports("before", "")
    before = group.faces()
    task = await group.imports(*(f"id{n}" for n in range(15)), *([""] * 15), first=10, thread_num=4)
    group.night.library.control(delay_s={"*": 0.05})
    undo = group.bench.undo(task)
    for handled in (1, 8, 16):
        await killed(
            group.bench, undo, lambda most=handled: group.bench.catalogue.ledger.progress(undo.id).handled >= most
        )
    assert await group.completes(undo) == {0: 30}
    assert group.faces() == before


async def test_the_undone_import_may_be_deleted(group: Group) -> None:
    """Once the undo knows what to remove; before, it says that it cannot."""
    task = await group.imports("alice", "")
    undo = group.bench.undo(task)
    catalogue = group.bench.catalogue
    catalogue.tasks.mark_deleted(task.id)
    while catalogue.tasks.purge_some(task.id):
        pass
    assert await group.completes(undo) == {0: 2}
    assert group.faces() == {}

    task = await group.imports("bob")
    catalogue.tasks.mark_deleted(task.id)
    with pytest.raises(TaskNotFound):
        group.bench.undo(task)


async def test_two_undos_cannot_meet(group: Group) -> None:
    """While one is not completed, the import cannot be started or retried, and there is no second one."""
    task = await group.imports("alice", "before", "before")
    catalogue = group.bench.catalogue
    undo = group.bench.undo(task)
    assert catalogue.undoing.begin(task.id, "another-undo").id == undo.id
    for refused in (
        lambda: catalogue.reopening.reopen(task.id, FailedRows()),
        lambda: catalogue.tasks.start(task.id),
    ):
        with pytest.raises(WrongState):
            refused()
    with pytest.raises(WrongState, match="is the undo of task"):
        catalogue.undoing.begin(undo.id, "another-undo")
    await group.completes(undo)
    assert catalogue.reopening.reopen(task.id, FailedRows()) == 1
    assert catalogue.tasks.get(task.id).state == TaskState.STOPPED


def said(group: Group, task: ImportTask) -> list[tuple[int, str, str]]:
    """Row, face id and message of a task's outcomes."""
    with group.bench.catalogue.engine.connect() as connection:
        query = select(outcome.c.row, outcome.c.face_id, outcome.c.message).where(outcome.c.task_id == task.id)
        return [tuple(row) for row in connection.execute(query.order_by(outcome.c.row))]


async def test_both_say_what_became_of_a_face(group: Group) -> None:
    """The undone import keeps its counts, and says who removed which face."""
    task = await group.imports("alice")
    assert said(group, task) == [(1, "alice", "")]
    undo = group.bench.undo(task)
    await group.completes(undo)
    assert said(group, task) == [(1, "", f"imported, and removed by import {undo.id}")]
    assert said(group, undo) == [(1, "", "removed alice")]
