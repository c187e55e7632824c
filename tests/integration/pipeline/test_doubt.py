"""Adds whose end nobody heard: what the ledger says of them is looked up, and never assumed (ADR 20)."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text, update

from face_import.catalogue import ImportTask
from face_import.catalogue.schema import shard
from face_import.clients.services import LibraryService
from face_import.domain.failed_rows import FailedRows
from face_import.errors import ServiceUnavailable, TaskStopped
from face_import.pipeline.shard import ShardImport
from tests.integration.pipeline.conftest import Bench
from tests.integration.pipeline.test_changes import FOREIGN, Night, night, sha
from tests.waiting import eventually

__all__ = ["night"]  # the fixture

TRY = """
import asyncio, json, sys
from face_import.catalogue import Catalogue
from face_import.settings import Settings
from tests.doubles.process import FaceServices
from tests.integration.pipeline.conftest import Bench
told = json.loads(sys.argv[1])
settings = Settings(home=told["home"], fetch_allow=("127.0.0.0/8",), info_url=told["services"],
                    library_url=told["services"])
catalogue = Catalogue.open(settings)
asyncio.run(Bench(settings, catalogue, None, None).run(catalogue.tasks.get(told["task"])))
"""


async def killed(bench: Bench, task: ImportTask, when: Callable[[], bool]) -> None:
    """Let a process of its own work on the task until something is so, and kill it: nothing of it goes on."""
    told = json.dumps({"home": str(bench.settings.home), "services": bench.services.url, "task": task.id})
    environment = os.environ | {"PYTHONPATH": "plugins:."}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", TRY, told, env=environment)
    try:
        await eventually(lambda: when() or process.returncode is not None, 30)
        assert process.returncode is None, "it ended before it could be killed"
    finally:
        process.kill()
        await process.wait()


def rows(bench: Bench, count: int, *, ids: bool = False, mark: str = "") -> list[str]:
    """Rows with a picture each, by names that say nothing about it."""
    bench.images.control(pictures={f"p{n}": {"n": n} for n in range(count)})
    uris = [f"{bench.images.url}/named/p{n}{mark}" for n in range(count)]
    return ["uri,id", *(f"{uri},person{n}" for n, uri in enumerate(uris))] if ids else uris


def codes(bench: Bench, task: ImportTask) -> dict[int, int]:
    """Rows by code."""
    return bench.catalogue.ledger.progress(task.id).by_code


@pytest.mark.parametrize("first", [True, False], ids=["features first", "ids first"])
async def test_a_killed_try_makes_no_success_of_duplicates(bench: Bench, *, first: bool) -> None:
    """Of thirty pictures that come twice thirty are imported, also if the library looks at pictures before ids."""
    bench.services.control(unique_features=True, features_first=first, delay_s={"add": 0.05})
    task = bench.task(rows(bench, 30) + rows(bench, 30, mark="?again"), thread_num=2)
    for handled in (3, 33):
        await killed(bench, task, lambda most=handled: bench.catalogue.ledger.progress(task.id).handled >= most)
    await bench.run(task)
    assert codes(bench, task) == {0: 30, 103: 30}


async def test_a_killed_try_makes_no_success_of_other_peoples_ids(bench: Bench) -> None:
    """The very pictures are there under the very ids, but an earlier import has put them there."""
    await bench.run(bench.task(rows(bench, 20, ids=True)))
    bench.services.control(delay_s={"add": 0.05})
    task = bench.task(rows(bench, 20, ids=True, mark="?new"), thread_num=3)
    await killed(bench, task, lambda: bench.catalogue.ledger.progress(task.id).handled >= 3)
    await bench.run(task)
    assert codes(bench, task) == {104: 20}
    assert bench.catalogue.journal.of_rows(task.id, 1, 20) == {}


async def test_nor_does_a_stop_while_the_library_hangs(bench: Bench) -> None:
    """The rows that it breaks off, and those that waited for their turn, are looked up; no other is in doubt."""
    await bench.run(bench.task(rows(bench, 12, ids=True)))
    bench.settings = bench.settings.model_copy(update={"stop_grace_s": 0.2})
    bench.services.control(faults=[{"kind": "add", "action": "hang"}])
    task = bench.task(rows(bench, 12, ids=True, mark="?new"), thread_num=5)

    async def stop(_attempt: ShardImport) -> None:
        await eventually(lambda: bench.services.record()["in_flight"] == 5)
        bench.catalogue.tasks.stop(task.id)

    with pytest.raises(TaskStopped):
        await bench.run(task, use=stop)
    assert {1, 2, 3, 4, 5} <= set(bench.catalogue.journal.of_rows(task.id, 1, 12))
    bench.services.control()
    bench.catalogue.tasks.start(task.id)
    await bench.run(bench.catalogue.tasks.get(task.id))
    assert codes(bench, task) == {104: 12}


@pytest.mark.parametrize("ids", [False, True], ids=["made ids", "own ids"])
async def test_a_retry_with_another_image_says_whose_face_is_in_the_way(bench: Bench, *, ids: bool) -> None:
    """However often it is retried, the row is not told that somebody else has its id."""
    bench.services.control(faults=[{"kind": "add", "action": "reset", "carry_out": True}])
    bench.images.control(pictures={"a": {"n": 1}})
    task = bench.task(["uri,tag,id", f"{bench.images.url}/named/a,t,{'own' if ids else ''}"])
    await bench.run(task)
    assert codes(bench, task) == {302: 1}
    bench.services.control()
    bench.images.control(pictures={"a": {"n": 2}})
    for _ in range(2):
        assert bench.catalogue.tasks.complete(task.id)
        assert bench.catalogue.reopening.reopen(task.id, FailedRows()) == 1
        bench.catalogue.tasks.start(task.id)
        await bench.run(bench.catalogue.tasks.get(task.id))
        ((code, message),) = bench.failures(task).values()
        assert (code, "it may be ours" in message) == (104, True)
    assert bench.services.record()["groups"]["staff"] == 1


@pytest.mark.parametrize("ids", [False, True], ids=["made ids", "own ids"])
@pytest.mark.parametrize("search", [True, False], ids=["searches", "does not search"])
async def test_a_face_that_a_killed_try_has_added_is_the_rows(bench: Bench, *, ids: bool, search: bool) -> None:
    """It is found; a library that does not search proves it for an id that nobody else can have, and for no other."""
    faults: list[dict[str, Any]] = [{"kind": "add", "action": "hang", "carry_out": True}]
    bench.services.control(faults=faults)
    task = bench.task(rows(bench, 3, ids=ids), thread_num=3)
    await killed(bench, task, lambda: bench.services.record()["groups"].get("staff") == 3)
    bench.services.control(faults=[] if search else [{"kind": "search", "status": 404, "text": "404 page not found"}])
    await bench.run(task)
    assert codes(bench, task) == ({0: 3} if search or not ids else {104: 3})
    assert all("it may be ours" in message for _, message in bench.failures(task).values())
    assert bench.services.record()["most_adds_of_an_id"] == 1


@pytest.mark.parametrize("same", [True, False], ids=["one picture", "two pictures"])
async def test_one_id_twice_in_a_file_is_one_success(bench: Bench, *, same: bool) -> None:
    """Whoever was carried out; the other row is a duplicate of it."""
    bench.images.control(pictures={"a": {"n": 1}, "b": {"n": 1 if same else 2}})
    bench.services.control(faults=[{"kind": "add", "action": "hang", "carry_out": True}])
    host = bench.images.url
    task = bench.task(["uri,id", f"{host}/named/a,x", f"{host}/named/b,x"], thread_num=2)
    await killed(bench, task, lambda: bench.services.record()["in_flight"] > 0)
    bench.services.control()
    await bench.run(task)
    assert codes(bench, task) == {0: 1, 104: 1}
    ((row, (_, message)),) = bench.failures(task).items()
    assert f"row {3 - row} of the file" in message or "the group has a face with id 'x' already" in message


@pytest.mark.parametrize("ids", [False, True], ids=["made ids", "own ids"])
async def test_what_was_added_is_said_if_its_picture_is_gone(bench: Bench, *, ids: bool) -> None:
    """The face may be in the group, and there is nothing left to look for it with."""
    bench.services.control(faults=[{"kind": "add", "action": "hang", "carry_out": True}])
    task = bench.task(rows(bench, 1, ids=ids), thread_num=1)
    await killed(bench, task, lambda: bench.services.record()["groups"].get("staff") == 1)
    bench.services.control()
    bench.images.control(pictures={})
    await bench.run(task)
    (code, message) = bench.failures(task)[1]
    assert code == 101
    assert message.endswith(f"an earlier try may have added it as '{'person0' if ids else f'{task.id}-1'}'")


async def test_one_lost_answer_proves_nothing(bench: Bench) -> None:
    """After one 503 a duplicate is a duplicate, and somebody else's id is theirs."""
    line = rows(bench, 2)[0]
    busy = {"kind": "add", "status": 503, "times": 1, "text": "busy"}
    await bench.run(bench.task([line, "http://x", f"{bench.images.url}/named/p1,,"]))
    bench.services.control(unique_features=True, faults=[busy])
    task = bench.task([f"{line}?again"], thread_num=1)
    await bench.run(task)
    assert codes(bench, task) == {103: 1}
    bench.services.control()
    await bench.run(bench.task(["uri,id", f"{line},alice"]))
    bench.services.control(faults=[busy])
    other = bench.task(["uri,id", f"{bench.images.url}/named/p1,alice"])
    await bench.run(other)
    assert codes(bench, other) == {104: 1}


async def test_another_picture_of_the_same_person_is_not_the_rows(bench: Bench) -> None:
    """A search finds it, but it is less alike than the very picture would be."""
    bench.images.control(pictures={"a": {"n": 1}, "b": {"n": 2, "person": "Alice"}})
    await bench.run(bench.task(["uri,id", f"{bench.images.url}/named/a,alice"]))
    bench.catalogue.tasks.mark_deleted(next(iter(bench.catalogue.tasks.all_ids())))
    bench.services.control(faults=[{"kind": "add", "action": "reset", "times": 1}])
    task = bench.task(["uri,id", f"{bench.images.url}/named/b,alice"])
    await bench.run(task)
    assert codes(bench, task) == {104: 1}


async def test_a_malformed_answer_is_an_add_in_doubt(bench: Bench) -> None:
    """Under 200 whatever was asked may have been done; it was, and the row is told so by the next one."""
    bench.services.control(faults=[{"kind": "add", "status": 200, "body": "[]", "times": 1, "carry_out": True}])
    task = bench.task(rows(bench, 1))
    await bench.run(task)
    assert (codes(bench, task), bench.services.record()["groups"]["staff"]) == ({0: 1}, 1)
    task = bench.task([f"{bench.images.image(add_answer=[])},,"])
    await bench.run(task)
    assert codes(bench, task) == {302: 1}
    assert "malformed answer" in bench.failures(task)[1][1]


@pytest.mark.parametrize("how", ["302", "killed"])
async def test_a_recurring_import_leaves_a_face_of_another_one(night: Night, how: str) -> None:
    """After an outage or a crash a note that an add was sent is no proof that it was carried out."""
    await night.bench.run(night.bench.task(["uri,id", f"{night.bench.images.image(**FOREIGN)},alice"]))
    night.show(a={"n": 1})
    line = f"{night.uri('a')},t,d,alice"
    if how == "302":
        night.library.control(faults=[{"kind": "add", "status": 503}])
        task = await night.run(line)
        assert night.bench.failures(task)[1][0] == 302
        night.library.control()
        task = await night.run(line)
    else:
        night.library.control(faults=[{"kind": "add", "action": "hang"}])
        task = night.task(line)
        await killed(night.bench, task, lambda: _is_adding(night.bench) and night.library.record()["in_flight"] > 0)
        night.library.control()
        await night.end(task)
    assert night.bench.failures(task)[1][0] == 104
    assert night.faces() == {"alice": sha(FOREIGN)}
    assert "delete" not in night.calls()


def _is_adding(bench: Bench) -> bool:
    with bench.catalogue.engine.connect() as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM holding WHERE sent_id <> ''")))


@pytest.mark.parametrize(("face_id", "after_s"), [("", 0.5), ("alice", 0.5), ("alice", 4.0)])
async def test_a_delete_that_is_carried_out_late_is_made_good(
    night: Night, monkeypatch: pytest.MonkeyPatch, face_id: str, after_s: float
) -> None:
    """Before the run is over, or by the next one; a made id is another one for the new face, so nothing hits it."""
    line = f"{night.uri('a')},t,d,{face_id}"
    night.show(a={"n": 1})
    await night.run(line)
    (old,) = night.faces()
    night.show(a={"n": 2})
    delete, late = LibraryService.delete, list[asyncio.Task[None]]()

    async def stuck(self: LibraryService, group: str, ids: list[str]) -> None:
        if late:
            return await delete(self, group, ids)
        late.append(asyncio.create_task(carried_out()))
        raise ServiceUnavailable("library service: no answer within 30 s")

    async def carried_out() -> None:
        await asyncio.sleep(after_s)
        async with LibraryService(night.bench.settings) as library:
            await delete(library, "staff", [old])

    monkeypatch.setattr(LibraryService, "delete", stuck)
    began = time.monotonic()
    task = await night.run(line)
    assert night.bench.succeeded(task) == 1
    assert time.monotonic() - began < 4 * night.bench.settings.service_timeout_s
    await late[0]
    hit = face_id and after_s > night.bench.settings.service_timeout_s
    assert list(night.faces().values()) == ([] if hit else [sha({"n": 2})])
    again = await night.run(line)
    assert list(night.faces().values()) == [sha({"n": 2})]
    assert night.changes(again).unchanged == int(not hit)
    calls = night.calls()
    assert night.changes(await night.run(line)).unchanged == 1
    assert (night.calls() == calls) == (not hit), "what was found once is not looked for again"


async def test_a_try_that_ends_before_it_has_looked_leaves_the_doubt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier try was killed: that its rows may be in the group is still so after one that did nothing."""
    task = bench.task([f"{bench.images.image()},t,d"])
    with bench.catalogue.engine.begin() as connection:
        connection.execute(update(shard).values(in_doubt=True))

    def fail(*_: object) -> set[int]:
        raise OSError("the disk")

    monkeypatch.setattr(bench.catalogue.ledger, "handled_rows", fail)
    with pytest.raises(OSError, match="the disk"):
        await bench.run(task)
    with bench.catalogue.engine.begin() as connection:
        assert connection.scalar(select(shard.c.in_doubt)) is True
