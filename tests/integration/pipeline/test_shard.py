"""Many rows at once: thread_num exactly, stops, resumes, mode 1, outages, lost leases."""

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import pytest

from face_import.clients.fetcher import Fetcher
from face_import.clients.http import JsonService
from face_import.clients.services import InfoService
from face_import.contract import Mode, TaskState
from face_import.domain.image import ImageInfo, check_image
from face_import.domain.models import Face, FailurePolicy, OutcomeBatch
from face_import.domain.uri import DataUri
from face_import.errors import Interrupted, LeaseLost, TaskFailed, TaskStopped
from face_import.pipeline.gate import ROWS_ASIDE
from face_import.pipeline.lease import LATE_S
from face_import.pipeline.shard import ShardImport
from tests.doubles.process import FaceServices
from tests.integration.pipeline.conftest import Bench
from tests.waiting import eventually

T = TypeVar("T")


def lines(bench: Bench, rows: int, *, bad: set[int] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """Rows with a picture each, without a face in those of `bad`."""
    image = bench.images.image
    return [f"{image(n=n, **({'faces': []} if n in bad else {}))},t{n},d" for n in range(1, rows + 1)]


@pytest.mark.parametrize("thread_num", [1, 7, 40])
async def test_thread_num_is_exact(bench: Bench, thread_num: int) -> None:
    """The services never see more rows in flight than thread_num, and nearly that many most of the time."""
    bench.services.control(delay_s=0.05 + thread_num / 200)  # so that the processors are not what limits it
    task = bench.task(lines(bench, 12 * thread_num), thread_num=thread_num)
    await bench.run(task)
    seen = bench.services.record()
    assert seen["max_in_flight"] <= thread_num
    assert seen["mean_in_flight"] >= 0.6 * thread_num
    assert bench.succeeded(task) == 12 * thread_num


@pytest.mark.parametrize("small", [True, False], ids=["in the loop", "in threads"])
@pytest.mark.parametrize("thread_num", [1, 6])
async def test_a_row_that_decodes_leaves_its_place(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, thread_num: int, *, small: bool
) -> None:
    """Calls of all kinds are thread_num at most, and as many also while a row decodes."""
    calls, most = 0, 0
    beside: list[int] = []

    def counted(function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        async def call(*args: object) -> T:
            nonlocal calls, most
            calls += 1
            most = max(most, calls)
            try:
                return await function(*args)
            finally:
                calls -= 1

        return call

    def slow(data: bytes, max_pixels: int) -> ImageInfo:
        time.sleep(0.002)
        image = check_image(data, max_pixels)
        beside.append(calls)
        return image

    monkeypatch.setattr(Fetcher, "_answer_of", counted(Fetcher._answer_of))
    monkeypatch.setattr(JsonService, "_post", counted(JsonService._post))
    monkeypatch.setattr("face_import.pipeline.row.check_image", slow)
    monkeypatch.setattr("face_import.pipeline.row.is_small", lambda _: small)
    bench.services.control(delay_s=0.02)
    task = bench.task(lines(bench, 20 * thread_num), thread_num=thread_num)
    await bench.run(task)
    assert bench.succeeded(task) == 20 * thread_num
    assert most == thread_num
    assert median(beside) == thread_num


@pytest.mark.parametrize(("size", "small"), [((320, 240), True), ((1400, 1000), False)])
async def test_only_small_pictures_are_decoded_in_the_event_loop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], *, small: bool
) -> None:
    """They take as long as handing them to a thread; another would have all rows and the lease wait."""
    threads = set()

    def noted(data: bytes, max_pixels: int) -> ImageInfo:
        threads.add(threading.current_thread() is threading.main_thread())
        return check_image(data, max_pixels)

    monkeypatch.setattr("face_import.pipeline.row.check_image", noted)
    task = bench.task([bench.images.image(n=n, size=size) for n in range(5)])
    await bench.run(task)
    assert bench.succeeded(task) == 5
    assert threads == {small}


@pytest.mark.parametrize("thread_num", [1, 3])
async def test_rows_that_wait_for_room_do_not_keep_others_from_ending(bench: Bench, thread_num: int) -> None:
    """With room for one picture at a time all rows are imported, though each that has one needs a place too."""
    pictures = lines(bench, 60)
    async with Fetcher(bench.settings) as fetcher:
        most = max([len(await fetcher.fetch(line.partition(",")[0])) for line in pictures])
    bench.settings = bench.settings.model_copy(update={"max_image_bytes": most, "max_bytes_in_flight": most})
    task = bench.task(pictures, thread_num=thread_num)
    async with asyncio.timeout(30):
        await bench.run(task)
    assert bench.succeeded(task) == 60


async def test_rows_aside_end_at_a_stop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop leaves no picture half imported: rows that decode go on to their end, and no other row starts."""
    go_on = threading.Event()

    def held(data: bytes, max_pixels: int) -> ImageInfo:
        go_on.wait(10)
        return check_image(data, max_pixels)

    monkeypatch.setattr("face_import.pipeline.row.check_image", held)
    monkeypatch.setattr("face_import.pipeline.row.is_small", lambda _: False)
    task = bench.task(lines(bench, 60), thread_num=1)

    async def stop(attempt: ShardImport) -> None:
        await eventually(lambda: bench.images.record()["fetches"] >= 3)
        bench.catalogue.tasks.stop(task.id)
        await eventually(lambda: attempt._gate.closed is not None)
        go_on.set()

    with pytest.raises(TaskStopped):
        await bench.run(task, use=stop)
    ended = bench.catalogue.ledger.progress(task.id).handled
    assert ended == bench.images.record()["fetches"] == bench.services.record()["groups"]["staff"]
    assert bench.services.record()["max_in_flight"] == 1


async def test_thread_num_changes_on_the_way(bench: Bench) -> None:
    """A smaller thread_num holds from the next renewal on."""
    bench.services.control(delay_s=0.1)
    task = bench.task(lines(bench, 120), thread_num=20)
    changed = 0.0

    async def change(_attempt: ShardImport) -> None:
        nonlocal changed
        await eventually(lambda: bench.services.record()["in_flight"] >= 15)
        bench.catalogue.tasks.configure(task.id, thread_num=3)
        changed = time.time()

    await bench.run(task, use=change)
    late = [c for c in bench.services.record(all=1)["list"] if c["start"] > changed + 3]
    most = max(sum(1 for o in late if o["start"] <= c["start"] < o["end"]) for c in late)
    assert 1 <= most <= 3


async def test_a_stop_ends_the_try_and_a_start_goes_on(bench: Bench) -> None:
    """Rows in flight end and are written; the next try does the rest, and no row twice."""
    bench.services.control(delay_s=0.05)
    task = bench.task(lines(bench, 300))

    async def stop(_attempt: ShardImport) -> None:
        await eventually(lambda: bench.catalogue.ledger.progress(task.id).handled >= 10)
        bench.catalogue.tasks.stop(task.id)

    with pytest.raises(TaskStopped):
        await bench.run(task, use=stop)
    stopped_at = bench.catalogue.ledger.progress(task.id).handled
    assert 10 <= stopped_at < 300
    assert bench.services.record()["groups"]["staff"] == stopped_at
    assert bench.catalogue.leases.live(task.id) == 0
    bench.catalogue.tasks.start(task.id)
    await bench.run(task)
    seen = bench.services.record()
    assert bench.succeeded(task) == 300
    assert seen["by_kind"]["add"] == seen["groups"]["staff"] == 300
    assert max(bench.images.record(paths=1)["paths"].values()) == 1


async def test_a_sigterm_ends_the_try_in_good_order(bench: Bench) -> None:
    """What Airflow's signal does: no new row, the ledger complete, the lease given back."""
    bench.services.control(delay_s=0.05)
    task = bench.task(lines(bench, 60))

    async def terminate(attempt: ShardImport) -> None:
        await eventually(lambda: bench.services.record()["in_flight"] > 0)
        attempt.stop("asked to")

    with pytest.raises(Interrupted, match="asked to"):
        await bench.run(task, use=terminate)
    assert bench.catalogue.ledger.progress(task.id).handled == bench.services.record()["groups"]["staff"]
    assert bench.catalogue.leases.live(task.id) == 0


async def test_a_slow_hand_over_does_not_keep_the_last_rows_out_of_the_ledger(bench: Bench) -> None:
    """Airflow takes no reference while the try is asked to end: all that was added is in the ledger nevertheless."""
    bench.services.control(delay_s=0.05)
    task = bench.task(lines(bench, 60))
    answered = threading.Event()

    def slow(batch: OutcomeBatch) -> None:
        bench.catalogue.ledger.write(batch)
        answered.wait(60)

    async def terminate(attempt: ShardImport) -> None:
        await eventually(lambda: bench.catalogue.ledger.progress(task.id).handled > 0)
        await eventually(lambda: bench.services.record()["by_kind"]["add"] > 20)
        attempt.stop("asked to")

    try:
        with pytest.raises(Interrupted, match="asked to"):
            await asyncio.wait_for(bench.run(task, use=terminate, push=slow), 20)
        assert bench.catalogue.ledger.progress(task.id).handled == bench.services.record()["groups"]["staff"]
    finally:
        answered.set()


async def test_mode_1_stops_at_the_bad_row_and_goes_on_behind_it(bench: Bench) -> None:
    """The first bad row stops the task and is named, and no row behind it was fetched; a start goes on without it."""
    task = bench.task(lines(bench, 20, bad={8}), mode=Mode.STOP, thread_num=1)
    with pytest.raises(TaskStopped):
        await bench.run(task)
    stopped = bench.catalogue.tasks.get(task.id)
    assert stopped.state == TaskState.STOPPED
    assert stopped.last_error.startswith("row 8: http://127.0.0.1:")
    assert stopped.last_error.endswith("201 no face found")
    assert bench.catalogue.ledger.progress(task.id).handled == bench.images.record()["fetches"] == 8
    bench.catalogue.tasks.start(task.id)
    await bench.run(task)
    assert bench.succeeded(task) == 19


async def test_too_many_failures_stop_an_import_that_goes_on_when_it_is_started(bench: Bench) -> None:
    """Long before its end, every row in progress has its outcome, and a start without a budget does the rest."""
    bench.services.control(delay_s=0.05)
    task = bench.task(lines(bench, 100, bad=set(range(1, 101))), thread_num=1, policy=FailurePolicy(max_failed=5))
    with pytest.raises(TaskStopped):
        await bench.run(task)
    stopped = bench.catalogue.tasks.get(task.id)
    assert stopped.state == TaskState.STOPPED
    assert re.match(r"(\d+) of \1 rows failed \(201: \1\), at most 5 are allowed; ", stopped.last_error)
    assert 5 < bench.catalogue.ledger.progress(task.id).handled == bench.images.record()["fetches"] < 90
    bench.services.control(delay_s=0.0)
    bench.catalogue.tasks.configure(task.id, max_failed=0)
    bench.catalogue.tasks.start(task.id)
    await bench.run(task)
    assert bench.catalogue.ledger.progress(task.id).by_code == {201: 100}


async def test_a_bad_row_that_cannot_be_written_has_not_stopped_the_task(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In mode 1 the try fails, is made again, and stops the task then."""
    task = bench.task(lines(bench, 20, bad={8}), mode=Mode.STOP, thread_num=1)
    write = bench.catalogue.ledger.write

    def full(batch: OutcomeBatch) -> None:
        if any(outcome.code for outcome in batch.outcomes):
            raise OSError(28, "No space left on device")
        write(batch)

    monkeypatch.setattr(bench.catalogue.ledger, "write", full)
    with pytest.raises(OSError, match="No space"):
        await bench.run(task)
    monkeypatch.undo()
    assert bench.catalogue.tasks.get(task.id).state == TaskState.RUNNING
    with pytest.raises(TaskStopped):
        await bench.run(task)
    assert bench.catalogue.tasks.get(task.id).last_error.startswith("row 8: ")


@pytest.mark.parametrize("trouble", [MemoryError(), OSError(28, "No space left on device")], ids=["memory", "disk"])
async def test_what_the_machine_lacks_fails_the_try(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """No row is logged for it; once it is mended the next try does them all."""
    task = bench.task(lines(bench, 20))

    def fail(*_: object) -> None:
        raise trouble

    monkeypatch.setattr("face_import.pipeline.row.check_image", fail)
    with pytest.raises(type(trouble)):
        await bench.run(task)
    assert bench.catalogue.ledger.progress(task.id).handled == 0
    monkeypatch.undo()
    await bench.run(task)
    assert bench.succeeded(task) == 20


@pytest.mark.parametrize("trouble", [OverflowError, RecursionError, ValueError, KeyError, TypeError, AssertionError])
async def test_whatever_else_one_row_does_is_its_own_outcome(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: type[Exception]
) -> None:
    """It is 303 with the exception's words, logged once with where it happened, and no other row is touched."""
    task = bench.task(lines(bench, 20, bad={7}))
    real = InfoService.detect

    async def poisoned(self: InfoService, image: DataUri) -> tuple[Face, ...]:
        faces = await real(self, image)
        if not faces:
            raise trouble("x" * 10_000)
        return faces

    monkeypatch.setattr(InfoService, "detect", poisoned)
    await bench.run(task)
    assert bench.succeeded(task) == 19
    code, message = bench.failures(task)[7]
    assert (code, trouble.__name__ in message, len(message) < 1000) == (303, True, True)
    logged = [record.getMessage() for record in caplog.records if "cannot be handled" in record.getMessage()]
    assert len(logged) == 1
    assert "in poisoned" in logged[0]


async def test_a_short_outage_costs_no_row(bench: Bench) -> None:
    """A service that answers 503 for less than the patience costs nothing."""
    bench.settings = bench.settings.model_copy(update={"outage_patience_s": 60})  # a busy machine asks slowly
    bench.services.control(faults=[{"kind": "detect", "status": 503, "times": 12}])
    task = bench.task(lines(bench, 30))
    await bench.run(task)
    assert bench.succeeded(task) == 30


@pytest.mark.parametrize(("status", "probes"), [(503, 1), (500, ROWS_ASIDE)])
async def test_a_long_outage_costs_the_rows_under_way_only(bench: Bench, status: int, probes: int) -> None:
    """Rows under way are logged at the end of the patience; the following ones wait and succeed.

    After that one row at a time probes. Where it may be a row's own fault, those that were aside do as well.
    """
    bench.services.control(faults=[{"kind": "add", "status": status}])
    task = bench.task(lines(bench, 40), thread_num=5)

    async def mend(_attempt: ShardImport) -> None:
        await eventually(lambda: bench.catalogue.ledger.progress(task.id).handled >= 5)
        bench.services.control()

    await bench.run(task, use=mend)
    failed = bench.failures(task)
    assert {code for code, _ in failed.values()} == {302}
    assert 5 <= len(failed) <= 5 + probes
    assert bench.succeeded(task) == 40 - len(failed)


async def test_a_vanished_group_stops_the_shard(bench: Bench) -> None:
    """Without its group no row can be added: the try fails with a text, and no row is blamed."""
    bench.services.control(delay_s=0.02)
    task = bench.task(lines(bench, 60), thread_num=2)

    async def remove(_attempt: ShardImport) -> None:
        await eventually(lambda: bench.catalogue.ledger.progress(task.id).handled >= 4)
        await asyncio.to_thread(bench.services.post, "/v1/face/groups/staff/remove")

    with pytest.raises(TaskFailed, match="'staff' is no longer in the face library"):
        await bench.run(task, use=remove)
    assert bench.failures(task) == {}


@pytest.mark.parametrize("service", ["info", "library"])
async def test_one_service_killed_beside_the_other(bench: Bench, service: str, tmp_path: Path) -> None:
    """Kill -9 of one of the two services, and its restart, cost no row, and no face is added twice."""
    bench.services.control(delay_s=0.02)
    with FaceServices(FACE_DOUBLE_JOURNAL=str(tmp_path / "journal")) as other:
        bench.settings = bench.settings.model_copy(update={f"{service}_url": other.url, "outage_patience_s": 30})
        task = bench.task(lines(bench, 400))

        async def kill(attempt: ShardImport) -> None:
            await eventually(lambda: bench.catalogue.ledger.progress(task.id).handled > 0)
            await asyncio.to_thread(other.kill)
            await eventually(lambda: attempt._gate._down)
            await asyncio.to_thread(other.start)

        await bench.run(task, use=kill)
        seen = (other if service == "library" else bench.services).record()
    assert (bench.failures(task), bench.succeeded(task)) == ({}, 400)
    assert (seen["groups"]["staff"], seen["most_adds_of_an_id"]) == (400, 1)


async def test_bad_rows_never_stop_mode_0(bench: Bench) -> None:
    """Skip and go on, says the API document, and it does not say for how many rows."""
    task = bench.task(["uri,tag,description,id", *["http://x/1.jpg,,,1.1E+17"] * 200, *lines(bench, 1)], thread_num=1)
    await bench.run(task)
    assert bench.catalogue.ledger.progress(task.id).by_code == {0: 1, 303: 200}


@pytest.mark.parametrize("thread_num", [1, 20])
@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("detect", 401, "token expired"),
        ("detect", 200, "license expired"),
        ("add", 403, "forbidden"),
        ("add", 404, "404 page not found"),
        ("add", 405, "method not allowed"),
        ("add", 409, "group staff is full: its capacity is 1000"),
        ("add", 302, "moved"),
    ],
)
async def test_a_service_that_refuses_row_after_row_halts_the_task(
    bench: Bench, kind: str, status: int, text: str, thread_num: int
) -> None:
    """It is the service's trouble: what was refused is not handled, and a start goes on when it is over."""
    bench.services.control(faults=[{"kind": kind, "status": status, "text": text, "code": 7}])
    task = bench.task(lines(bench, 60), thread_num=thread_num)
    for _ in range(2):
        with pytest.raises(TaskFailed, match=f"{text}.* rows in succession.*not handled"):
            await bench.run(task)
    assert bench.catalogue.ledger.progress(task.id).handled == 0
    assert bench.services.record()["by_kind"][kind] <= 2 * (10 + thread_num + ROWS_ASIDE + 1)  # and a blank image
    bench.services.control()
    await bench.run(task)
    assert bench.succeeded(task) == 60


async def test_a_refusal_among_answers_is_the_rows_own(bench: Bench) -> None:
    """A service that has a usable answer for the next row means the row that it refused."""
    rows = lines(bench, 60)
    for n in range(0, 60, 2):
        rows[n] = f"{bench.images.image(n=n, add='who knows', add_status=403)},,"
    task = bench.task(rows, thread_num=3)
    await bench.run(task)
    assert bench.catalogue.ledger.progress(task.id).by_code == {0: 30, 302: 30}


@pytest.mark.parametrize(("status", "halts"), [(401, True), (400, False)])
async def test_the_last_rows_of_a_shard_have_no_others_beside_them(bench: Bench, status: int, *, halts: bool) -> None:
    """Who may not ask at all is refused for no row's sake; other words are taken to be about the row."""
    bench.services.control(faults=[{"kind": "add", "status": status, "text": "no"}])
    task = bench.task(lines(bench, 3))
    if halts:
        with pytest.raises(TaskFailed, match="401 no"):
            await bench.run(task)
    else:
        await bench.run(task)
    assert bench.catalogue.ledger.progress(task.id).by_code == ({} if halts else {302: 3})


async def test_pictures_that_the_info_service_chokes_on_are_bad_rows(bench: Bench) -> None:
    """However many come in succession: it is asked for a picture that is beyond reproach, and has an answer."""
    choking = {"detect_code": 7, "detect_message": "who knows"}
    poison = [f"{bench.images.image(n=n, **choking)},," for n in range(35)]
    for rows in (poison, [*lines(bench, 5), *poison, *lines(bench, 5)]):
        task = bench.task(rows, thread_num=5)
        await bench.run(task)
        assert bench.catalogue.ledger.progress(task.id).failures == {301: 35}
        assert bench.succeeded(task) == len(rows) - 35


async def test_no_words_of_a_row_say_that_the_group_is_gone(bench: Bench) -> None:
    """A service repeats a row's id in its refusal; the next rows are imported."""
    text = "invalid id: group staff does not exist"
    rows = lines(bench, 3)
    rows[1] = f"{bench.images.image(n=9, add=text, add_status=400)},group staff does not exist,"
    task = bench.task(rows, thread_num=1)
    await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)[2][0]) == (2, 302)


async def test_a_lost_lease_breaks_the_rows_off(bench: Bench) -> None:
    """Whoever lost the lease writes nothing more, and the successor does the rest once."""
    bench.services.control(delay_s=0.2)
    task = bench.task(lines(bench, 30), thread_num=5)

    async def rob(_attempt: ShardImport) -> None:
        await eventually(lambda: bench.catalogue.ledger.progress(task.id).handled >= 5)
        with bench.catalogue.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE shard SET lease_until = 0")

    with pytest.raises(LeaseLost):
        await bench.run(task, use=rob)
    await bench.run(task)
    assert bench.succeeded(task) == 30
    assert bench.services.record()["groups"]["staff"] == 30
    assert bench.services.record()["most_adds_of_an_id"] == 1


async def test_a_hanging_catalogue_breaks_the_rows_off_in_time(bench: Bench) -> None:
    """Rows in flight end before the lease does, and are in doubt for the next try."""
    bench.services.control(delay_s={"add": 8})
    task = bench.task(["uri,id", *(f"{bench.images.image(n=n)},person{n}" for n in range(5))], thread_num=5)

    async def hang(_attempt: ShardImport) -> None:
        await eventually(lambda: bench.services.record()["in_flight"] == 5)
        with bench.catalogue.engine.begin():
            held = time.monotonic()
            await eventually(lambda: bench.services.record()["in_flight"] == 0, 8)
            assert time.monotonic() - held < bench.settings.lease_ttl_s + 3 * LATE_S

    with pytest.raises(LeaseLost):
        await bench.run(task, use=hang)
    assert set(bench.catalogue.journal.of_rows(task.id, 1, 5)) == {1, 2, 3, 4, 5}


async def test_a_second_try_waits_for_the_first(bench: Bench) -> None:
    """Two tries at once never overlap: the second waits for the lease and finds nothing to do."""
    bench.services.control(delay_s=0.05)
    task = bench.task(lines(bench, 20), thread_num=5)
    await asyncio.gather(bench.run(task), bench.run(task))
    seen = bench.services.record()
    assert seen["by_kind"]["add"] == 20
    assert seen["max_in_flight"] <= 5
