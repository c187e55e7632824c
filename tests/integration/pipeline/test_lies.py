"""Services and files that lie: what a stranger has found, once each."""

import errno
import io

import pytest

from face_import.catalogue import ImportTask, TaskConfig
from face_import.clients.addresses import AddressGuard
from face_import.contract import Mode, TaskState
from face_import.domain.models import Limits
from face_import.domain.planning import plan_shards
from face_import.errors import LeaseLost
from face_import.sources.storage import Storage
from tests.integration.pipeline.conftest import Bench
from tests.integration.pipeline.test_changes import Night, night, sha
from tests.integration.pipeline.test_doubt import codes, rows

__all__ = ["night"]  # the fixture


def task_with_id(bench: Bench, task_id: str, lines: list[str]) -> ImportTask:
    """A running task whose id is known beforehand, as those of Airflow's runs are."""
    index = Storage.of(bench.settings).store(task_id, io.BytesIO("\n".join(lines).encode()))
    config = TaskConfig("staff", "test", Limits(), 1, Mode.SKIP)
    bench.catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=index.rows)
    bench.catalogue.plans.commit(task_id, plan_shards(index, 1), index.rows)
    bench.catalogue.tasks.start(task_id)
    return bench.catalogue.tasks.get(task_id)


async def test_a_file_cannot_bring_along_an_id_that_an_import_makes(bench: Bench) -> None:
    """Neither for another row of its own nor for one of another import: it would pass for that row's proof."""
    uri, again = rows(bench, 1) + rows(bench, 1, mark="?again")
    task = task_with_id(bench, "mytask000001", ["uri,id", f"{uri},mytask000001-2", f"{again},"])
    await bench.run(task)
    assert codes(bench, task) == {0: 1, 104: 1}
    assert bench.failures(task)[1][1] == "'mytask000001-2' is the id that import mytask000001 makes for its row 2"
    other = bench.task(["uri,id", f"{uri},mytask000001-2"])
    await bench.run(other)
    assert codes(bench, other) == {104: 1}


async def test_a_made_id_that_somebody_was_faster_with_is_not_the_rows(bench: Bench) -> None:
    """With other labels, or another picture where the library does not search, after an add that was not answered."""
    uri = rows(bench, 2)[0]
    await bench.run(bench.task(["uri,tag,id", f"{uri},other,laterimport1-1"]))
    bench.services.control(faults=[{"kind": "add", "status": 503, "times": 1}])
    task = task_with_id(bench, "laterimport1", [f"{uri},tag,"])
    await bench.run(task)
    assert codes(bench, task) == {104: 1}


async def test_a_recurring_import_settles_nothing_that_another_import_has_put_there(night: Night) -> None:
    """The other one's face has an id that it made, the very picture and the very labels; the next night it stays."""
    night.show(a={"n": 1})
    plain = task_with_id(night.bench, "plainimport1", [f"{night.uri('a')},t,d"])
    await night.bench.run(plain)
    night.library.control(faults=[{"kind": "add", "status": 503, "times": 1}])
    line = f"{night.uri('a')},t,d,plainimport1-1"
    task = await night.run(line)
    assert night.bench.failures(task)[1][0] == 104
    night.show(a={"n": 2})
    await night.run(line)
    assert night.faces() == {"plainimport1-1": sha({"n": 1})}


@pytest.mark.parametrize("answer", [{}, {"code": 500, "message": "internal error"}, {"id": "bob"}, {"id": "x\ud800"}])
async def test_an_add_is_answered_by_its_id(bench: Bench, answer: dict[str, object]) -> None:
    """Whatever else comes under 200 is no yes; and whose face another id is, nobody knows."""
    task = bench.task([f"{bench.images.image(add_answer=answer)},,"])
    await bench.run(task)
    assert codes(bench, task) == {302: 1}
    assert "it does not say that it has added the face" in bench.failures(task)[1][1]


async def test_words_of_a_row_are_not_the_services(bench: Bench) -> None:
    """A library without search repeats what the row says: nothing was added, and nothing is missing."""
    said = "bad desc: id already exists"
    lines = [f"{bench.images.image(n=1, add=said)},,id already exists", f"{rows(bench, 1)[0]},,"]
    lines.append(f"{bench.images.image(n=2, add='group staff: bad tag: not found')},not found,")
    bench.services.control(faults=[{"kind": "search", "status": 404, "text": "page not found"}])
    task = bench.task(lines, thread_num=1)
    await bench.run(task)
    assert {row: code for row, (code, _) in bench.failures(task).items()} == {1: 302, 3: 302}
    assert bench.succeeded(task) == 1


async def test_a_cell_that_takes_long_to_decode_ends_no_try(bench: Bench) -> None:
    """Millions of percent signs are decoded aside, a piece at a time, so that the lease is renewed meanwhile."""
    bench.settings = bench.settings.model_copy(update={"lease_ttl_s": 1.0, "lease_renew_s": 0.2})
    task = bench.task([f'"data:image/jpeg,{"%41" * 6_000_000}",,', *rows(bench, 3)], thread_num=1)
    try:
        await bench.run(task)
    except LeaseLost:
        pytest.fail("one cell has ended the try")
    assert codes(bench, task) == {0: 3, 102: 1}


async def test_a_machine_without_file_descriptors_is_no_rows_fault(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try ends and is made again: the rows were 101 before, as if their hosts had been away."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    task = bench.task(rows(bench, 3))
    with monkeypatch.context() as patch:
        patch.setattr(AddressGuard, "socket", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            await bench.run(task)
    assert codes(bench, task) == {}
    await bench.run(task)
    assert codes(bench, task) == {0: 3}
