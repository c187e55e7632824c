"""Faces that break new limits go, and no others; whatever becomes of their deletes."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import text

from face_import.catalogue import Affected, Changed, ImportTask
from face_import.clients.services import LibraryService
from face_import.contract import Code, Mode, TaskState
from face_import.domain.failed_rows import FailedRows
from face_import.domain.models import Changes, FailurePolicy, Sent
from face_import.errors import ServiceUnavailable
from tests.integration.pipeline.conftest import Bench
from tests.integration.pipeline.test_changes import Night, night, sha
from tests.waiting import eventually

__all__ = ["night"]
SIZES = (40, 80, 120, 160)


def lines(bench: Bench, *, ids: bool = False) -> list[str]:
    """Rows with a face of each size; they have names, and ids if asked for."""
    uris = [bench.images.image(n=n, faces=[{"box": [10, 10, 10 + size, 10 + size]}]) for n, size in enumerate(SIZES)]
    return ["uri,tag,id", *(f"{uri},t{n},{f'person{n}' if ids else ''}" for n, uri in enumerate(uris))]


async def completed(bench: Bench, task: ImportTask) -> ImportTask:
    """The task after a try to its end."""
    task = bench.catalogue.tasks.get(task.id)
    await bench.run(task)
    assert bench.catalogue.tasks.complete(task.id)
    return task


def limit(bench: Bench, task: ImportTask, width: int) -> Affected:
    """Give the task a new limit, and start it."""
    affected = bench.catalogue.new_limits.apply(task.id, Changed({"width": width}))
    if bench.catalogue.tasks.get(task.id).state == TaskState.STOPPED:
        bench.catalogue.tasks.start(task.id)
    return affected


def faces(bench: Bench) -> set[str]:
    """Ids in the group."""
    return set(bench.services.record(all=1)["faces"]["staff"])


@pytest.mark.parametrize("ids", [False, True])
async def test_exactly_the_faces_that_break_a_limit_go(bench: Bench, ids: bool) -> None:
    """No image is fetched for it, and a wider limit brings them back; neither a budget nor mode 1 minds."""
    policy = FailurePolicy(max_failed=1)
    task = bench.task(lines(bench, ids=ids), mode=Mode.STOP, policy=policy)
    name = lambda n: f"person{n}" if ids else f"{task.id}-{n + 1}"  # noqa: E731 - asked four times
    await completed(bench, task)
    fetched = bench.images.record()["fetches"]
    assert limit(bench, task, 100) == Affected(removed=2)
    await completed(bench, task)
    assert faces(bench) == {name(2), name(3)}
    assert bench.failures(task)[1] == (Code.WIDTH, "width 40 px is below 100 px")
    assert bench.images.record()["fetches"] == fetched
    assert limit(bench, task, 100) == Affected()
    assert limit(bench, task, 50) == Affected(reopened=1)
    await completed(bench, task)
    assert faces(bench) == {name(1), name(2), name(3)}
    assert bench.catalogue.journal.of_rows(task.id, 1, 9) == {}
    assert bench.services.record()["violations"] == []


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_delete_without_an_answer_is_repeated_and_given_time(bench: Bench, carried_out: bool) -> None:
    """Only then the row is settled: a late delete would hit what is added under the id afterwards."""
    bench.settings = bench.settings.model_copy(update={"service_timeout_s": 1.0})
    task = bench.task(lines(bench, ids=True))
    await completed(bench, task)
    fault = {"kind": "delete", "action": "reset", "times": 1, "carry_out": carried_out}
    bench.services.control(faults=[fault])
    limit(bench, task, 50)
    began = time.monotonic()
    await completed(bench, task)
    assert time.monotonic() - began >= 1.0
    assert faces(bench) == {f"person{n}" for n in (1, 2, 3)}


async def test_a_try_that_dies_leaves_its_deletes_to_the_next_one(bench: Bench) -> None:
    """It knows that they may have been sent, and waits until none of them can be carried out any more."""
    bench.settings = bench.settings.model_copy(update={"service_timeout_s": 1.0})
    task = bench.task(lines(bench, ids=True), thread_num=1)
    await completed(bench, task)
    limit(bench, task, 50)
    bench.services.control(delay_s={"delete": 30.0})
    trying = asyncio.ensure_future(bench.run(bench.catalogue.tasks.get(task.id)))
    journal = bench.catalogue.journal
    await eventually(lambda: any(s.removal and s.removal.tried for s in journal.of_rows(task.id, 1, 4).values()))
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    with bench.catalogue.engine.begin() as connection:
        connection.execute(text("UPDATE shard SET lease_owner = NULL"))
    bench.services.control()
    began = time.monotonic()
    await completed(bench, task)
    assert time.monotonic() - began >= 1.0
    assert faces(bench) == {f"person{n}" for n in (1, 2, 3)}


async def test_a_face_that_cannot_be_removed_is_a_failure_that_can_be_retried(bench: Bench) -> None:
    """The row says that its face may be there still, and a retry removes it."""
    task = bench.task(lines(bench, ids=True))
    await completed(bench, task)
    bench.services.control(faults=[{"kind": "delete", "action": "status", "status": 400, "text": "read only"}])
    limit(bench, task, 50)
    await completed(bench, task)
    code, said = bench.failures(task)[1]
    assert (code, "may be in the group still" in said, "read only" in said) == (Code.LIBRARY_UNAVAILABLE, True, True)
    assert len(faces(bench)) == 4
    bench.services.control()
    assert bench.catalogue.reopening.reopen(task.id, FailedRows((Code.LIBRARY_UNAVAILABLE,))) == 1
    bench.catalogue.tasks.start(task.id)
    await completed(bench, task)
    assert faces(bench) == {f"person{n}" for n in (1, 2, 3)}
    assert bench.failures(task)[1] == (Code.WIDTH, "width 40 px is below 50 px")


async def test_the_face_of_another_import_stays(bench: Bench) -> None:
    """Somebody deleted ours and another import added its own under the same id; the row says whose it is."""
    task = bench.task(lines(bench, ids=True))
    await completed(bench, task)
    async with LibraryService(bench.settings) as library:
        await library.delete("staff", ["person0"])
    other = bench.task(lines(bench, ids=True)[:2])
    await completed(bench, other)
    limit(bench, task, 100)
    await completed(bench, task)
    assert faces(bench) == {"person0", "person2", "person3"}
    code, said = bench.failures(task)[1]
    assert (code, f"row 1 of import {other.id} now, and stays" in said) == (Code.WIDTH, True)


async def test_an_id_is_not_added_while_its_face_is_to_be_removed(bench: Bench) -> None:
    """Else a late delete could hit it; once the removal is settled, the other import can retry."""
    task = bench.task(lines(bench, ids=True))
    await completed(bench, task)
    limit(bench, task, 50)
    other = bench.task(lines(bench, ids=True)[:2])
    await completed(bench, other)
    code, said = bench.failures(other)[1]
    assert (code, f"row 1 of import {task.id} is to remove" in said) == (Code.DUPLICATE_ID, True)
    await completed(bench, task)
    assert "person0" not in faces(bench)
    bench.catalogue.reopening.reopen(other.id, FailedRows())
    bench.catalogue.tasks.start(other.id)
    await completed(bench, other)
    assert "person0" in faces(bench)


async def test_limits_that_were_taken_back_before_the_run_leave_the_face(bench: Bench, monkeypatch: Any) -> None:
    """Nothing was deleted: the row is found to be imported. Something may have been: it is added again."""
    bench.settings = bench.settings.model_copy(update={"service_timeout_s": 0.5})
    task = bench.task(lines(bench, ids=True))
    await completed(bench, task)
    limit(bench, task, 100)
    bench.catalogue.tasks.stop(task.id)
    bench.catalogue.new_limits.apply(task.id, Changed({"width": 0}))
    bench.catalogue.tasks.start(task.id)
    await completed(bench, task)
    assert (bench.failures(task), len(faces(bench))) == ({}, 4)

    limit(bench, task, 100)
    gone = LibraryService.delete

    async def lost(self: LibraryService, group: str, ids: Any) -> None:
        await gone(self, group, ids)
        bench.catalogue.tasks.stop(task.id)
        raise ServiceUnavailable("reset")

    with monkeypatch.context() as patch:
        patch.setattr(LibraryService, "delete", lost)
        with pytest.raises(Exception, match="stopped"):
            await bench.run(bench.catalogue.tasks.get(task.id))
    assert len(faces(bench)) < 4
    bench.catalogue.new_limits.apply(task.id, Changed({"width": 0}))
    bench.catalogue.tasks.start(task.id)
    await completed(bench, task)
    assert (bench.failures(task), len(faces(bench))) == ({}, 4)


async def test_a_face_that_was_to_be_removed_is_not_forgotten_for_a_new_picture(bench: Bench) -> None:
    """The limits were taken back: the face in the way is most likely the row's own, and an undo removes it."""
    bench.images.control(pictures={"a": {"n": 1, "faces": [{"box": [0, 0, 40, 40]}]}})
    task = bench.task(["uri,id", f"{bench.images.url}/named/a,own"])
    await completed(bench, task)
    limit(bench, task, 100)
    bench.catalogue.tasks.stop(task.id)
    bench.images.control(pictures={"a": {"n": 2}})
    limit(bench, task, 0)
    await completed(bench, task)
    code, said = bench.failures(task)[1]
    assert (code, "it may be ours" in said, faces(bench)) == (Code.DUPLICATE_ID, True, {"own"})
    undo = bench.undo(task)
    await completed(bench, undo)
    assert (bench.failures(undo), faces(bench)) == ({}, set())


async def test_an_entry_has_no_face_of_a_row_that_was_removed(night: Night) -> None:
    """Its next import adds one; a face that a later import of the entry has taken over stays."""
    bench = night.bench
    small, large = ({"n": n, "faces": [{"box": [0, 0, size, size]}]} for n, size in enumerate((40, 160)))
    night.show(small=small, large=large)
    rows = [f"{night.uri('small')},s,d,", f"{night.uri('large')},l,d,own"]
    first = await night.run(*rows)
    assert limit(bench, first, 100) == Affected(removed=1)
    await completed(bench, first)
    assert faces(bench) == {"own"}
    second = await night.run(*rows)
    assert (night.changes(second).new, night.changes(second).unchanged, len(faces(bench))) == (1, 1, 2)
    assert limit(bench, first, 200) == Affected(removed=1)
    await completed(bench, first)
    assert len(faces(bench)) == 2
    assert "stays" in bench.failures(first)[2][1]
    third = await night.run(*rows)
    assert night.changes(third).unchanged == 2


@pytest.mark.parametrize("settled", [True, False])
async def test_an_entry_leaves_a_face_alone_that_stays(night: Night, settled: bool) -> None:
    """Another import has added its own under the id, or may be doing so: the entry's next import deletes it neither."""
    bench = night.bench
    night.show(ours={"n": 1, "faces": [{"box": [0, 0, 40, 40]}]}, theirs={"n": 2})
    rows = [f"{night.uri('ours')},t,d,own"]
    first = await night.run(*rows)
    async with LibraryService(bench.settings) as library:
        await library.delete("staff", ["own"])
    other = night.task(f"{night.uri('theirs')},t,d,own", entry="")
    if settled:
        await night.end(other)
    else:
        bench.catalogue.leases.take(other.id, 0, "other", 1)
        bench.catalogue.journal.note(other.id, 0, "other", [Sent(1, "own", b"")])
    assert limit(bench, first, 100) == Affected(removed=1)
    await completed(bench, first)
    code, _ = bench.failures(first)[1]
    if not settled:
        assert code == Code.DUPLICATE_ID
        bench.catalogue.leases.give_back(other.id, 0, "other", in_doubt=False)
        await night.end(other)
    assert night.faces() == {"own": sha({"n": 2})}
    later = await night.run(*rows)
    assert (night.faces(), bench.catalogue.ledger.progress(later.id).handled) == ({"own": sha({"n": 2})}, 1)


async def test_an_entry_still_knows_what_an_import_has_added_itself(night: Night) -> None:
    """Its removal was taken back: the row is counted once, and can be judged and undone as before."""
    bench = night.bench
    night.show(small={"n": 1, "faces": [{"box": [0, 0, 40, 40]}]})
    first = await night.run(f"{night.uri('small')},s,d,")
    for width in (100, 0):
        limit(bench, first, width)
        bench.catalogue.tasks.stop(first.id)
    bench.catalogue.tasks.start(first.id)
    await completed(bench, first)
    assert night.changes(first) == Changes(new=1)
    assert bench.catalogue.new_limits.count(first.id, Changed({"width": 100})) == Affected(removed=1)
    undo = bench.undo(first)
    await completed(bench, undo)
    assert (bench.failures(undo), faces(bench)) == ({}, set())
