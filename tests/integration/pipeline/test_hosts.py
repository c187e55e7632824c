"""Image hosts in trouble: their rows wait, those of others go on, and nothing but the row's own trouble is a 101."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from face_import.catalogue import ImportTask
from face_import.contract import Code, Mode, Reason
from face_import.errors import Interrupted, ShardWaits, TaskStopped
from face_import.pipeline import rest, visits
from face_import.pipeline.shard import ShardImport
from tests.doubles.images import make_image
from tests.doubles.process import Host
from tests.integration.clients.evil import evil, head
from tests.integration.pipeline.conftest import Bench
from tests.memory import peak_bytes
from tests.waiting import eventually

ROWS = 30


@pytest.fixture(autouse=True)
def _patient(bench: Bench) -> None:
    """The face services are not what is tested here, however busy the machine is."""
    bench.settings = bench.settings.model_copy(update={"outage_patience_s": 60})


def rows(*of: Host | str) -> list[str]:
    """Lines of CSV with a picture of its own each, of these hosts by turns."""
    return [f"{host if isinstance(host, str) else host.image(n=n)},t{n}" for n, host in enumerate(of)]


def known_to_wait(bench: Bench, task: ImportTask, host: Host) -> int:
    """Rows that people are told to wait for a host, if it is the only one."""
    waiting = bench.catalogue.hosts.waiting(task.id)
    return waiting[0].rows if [one.host for one in waiting] == [host.name] else 0


async def mended(bench: Bench, host: Host, condition: Callable[[], bool]) -> None:
    """Wait for something, then mend a host."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - happens in another process
            await asyncio.sleep(0.05)
    host.switch()


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 503},
        {"status": 429},
        {"status": 429, "retry_after": "2"},
        {"status": 503, "retry_after": "2"},
        {"status": 0},
        {"refuse": True},
        {"hang": True},
    ],
    ids=repr,
)
async def test_rows_of_a_host_in_trouble_wait(bench: Bench, trouble: dict[str, object]) -> None:
    """While others are imported; once it answers, they are, too, and nobody has asked it for each of them."""
    bench.settings = bench.settings.model_copy(update={"fetch_timeout_s": 1.0})
    away = bench.images.host("away", **trouble)
    well = bench.images.host("well")
    task = bench.task(rows(*[away, well] * ROWS))

    async def mend(_attempt: ShardImport) -> None:
        await eventually(lambda: known_to_wait(bench, task, away) >= ROWS - 1, 40)  # one may be asking
        await mended(bench, away, lambda: bench.succeeded(task) == ROWS)

    await bench.run(task, use=mend)
    assert (bench.succeeded(task), bench.failures(task)) == (2 * ROWS, {})
    assert bench.catalogue.hosts.waiting(task.id) == []
    if "refuse" not in trouble:
        assert sum(one["status"] != 200 for one in away.requests()) < 2 * task.config.thread_num


async def test_one_broken_url_is_its_rows_own_trouble(bench: Bench) -> None:
    """It is asked a few times, and the others of its host are imported meanwhile."""
    well = [f"{bench.images.url}/ok/{n}.jpg" for n in range(ROWS)]
    task = bench.task(rows(*well[:3], f"{bench.images.url}/status/503", *well[3:]))
    bench.images.control(reset=True)
    await bench.run(task)
    assert bench.failures(task) == {4: (Code.URI_UNREACHABLE, "503 Service Unavailable")}
    assert bench.images.record(paths=1)["paths"]["/status/503"] == visits.HOST_ATTEMPTS


@pytest.mark.parametrize("share", [0.1, 0.4])
async def test_random_500s_are_asked_again(bench: Bench, share: float) -> None:
    """They cost no row until one has had several in succession."""
    shaky = bench.images.host("shaky", status=500, share=share)
    task = bench.task(rows(*[shaky] * ROWS))
    await bench.run(task)
    lost = bench.failures(task)
    asked = [one["status"] for one in shaky.requests()]
    assert bench.succeeded(task) == asked.count(200) == ROWS - len(lost)
    assert len(asked) <= visits.ATTEMPTS * ROWS
    assert len(lost) <= ROWS * 5 * share**visits.ATTEMPTS


async def test_urls_that_are_always_unavailable_do_not_hold_up_their_import(bench: Bench) -> None:
    """A host that answers 503 to some of its rows answers others: these rows fail, long before the patience is over."""
    bad = [f"{bench.images.url}/status/503?{n}" for n in range(5)]
    task = bench.task(rows(*[f"{bench.images.url}/ok/{n}.jpg" for n in range(ROWS)], *bad))
    async with asyncio.timeout(120):
        await bench.run(task)
    assert set(bench.failures(task)) == {ROWS + n for n in range(1, 6)}
    assert bench.succeeded(task) == ROWS


async def test_the_row_that_asks_is_lost_when_the_patience_is_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only that one; the next one has its own patience."""
    monkeypatch.setattr("face_import.catalogue.hosts.LONGEST_RETRY_S", 0.2)
    catalogue = bench.catalogue.hosts
    monkeypatch.setattr(catalogue, "_patience_s", 3.0)
    away = bench.images.host("away", status=503)
    task = bench.task(rows(*[away] * ROWS))

    async def mend(_attempt: ShardImport) -> None:
        await mended(bench, away, lambda: bool(bench.failures(task)))

    await bench.run(task, use=mend)
    lost = bench.failures(task)
    assert 1 <= len(lost) <= 2
    assert set(lost.values()) == {(Code.URI_UNREACHABLE, "503 Service Unavailable")}
    assert {entry.reason for entry in bench.catalogue.ledger.log(task.id)} == {Reason.UNAVAILABLE}
    assert bench.succeeded(task) == ROWS - len(lost)


async def test_a_host_that_is_away_for_good_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows then fail without asking it, and say so."""
    monkeypatch.setattr("face_import.catalogue.hosts.LONGEST_RETRY_S", 0.2)
    monkeypatch.setattr(bench.catalogue.hosts, "_give_up_s", 2.0)
    gone = bench.images.host("gone", status=503)
    task = bench.task(rows(*[gone] * ROWS))
    await bench.run(task)
    lost = bench.failures(task)
    assert len(lost) == ROWS
    words = f"{gone.name} has been unavailable for too long: 503 Service Unavailable"
    assert sum(message == words for _, message in lost.values()) >= ROWS - 2
    assert len(gone.requests()) < 2 * task.config.thread_num + 20


@pytest.mark.parametrize("in_line", [0, 2])
async def test_a_slot_that_others_need_is_given_up_sooner(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, in_line: int
) -> None:
    """A host that is asked again soon is worth waiting for, unless shards with other rows are kept from working."""
    monkeypatch.setattr(bench.catalogue.hosts, "shards_in_line", lambda _task_id: in_line)
    monkeypatch.setattr(rest, "START_S", 0.5)
    away = bench.images.host("away", status=429, retry_after="4")
    task = bench.task(rows(*[away] * ROWS))
    running = asyncio.create_task(bench.run(task))
    if in_line:
        with pytest.raises(ShardWaits) as waits:
            await running
        assert waits.value.seconds == pytest.approx(in_line * rest.REST_S)
    else:
        await eventually(lambda: bench.catalogue.hosts.waiting(task.id))
        away.switch()
        await running
        assert (bench.succeeded(task), bench.failures(task)) == (ROWS, {})


async def test_a_shard_with_nothing_else_to_do_ends_its_process(bench: Bench) -> None:
    """It says how long it may rest; the next try imports what is left, and only that."""
    away = bench.images.host("away", status=429, retry_after="40")
    well = bench.images.host("well")
    task = bench.task(rows(*[away, well] * ROWS))
    with pytest.raises(ShardWaits, match=f"^{ROWS} rows wait for {away.name} ") as waits:
        await bench.run(task)
    assert rest.REST_S < waits.value.seconds <= 40
    assert (bench.succeeded(task), bench.failures(task)) == (ROWS, {})
    (waiting,) = bench.catalogue.hosts.waiting(task.id)
    assert waiting == replace(waiting, host=away.name, reason="429 Too Many Requests", rows=ROWS)
    assert 20 < waiting.retry_at - time.time() <= 40
    asked = len(away.requests())
    assert asked <= task.config.thread_num
    with pytest.raises(ShardWaits):  # it is too early
        await bench.run(task)
    assert len(away.requests()) == asked
    bench.catalogue.tasks.stop(task.id)
    bench.catalogue.tasks.start(task.id)  # whoever starts it anew has a reason to ask at once
    away.switch()
    await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)) == (2 * ROWS, {})
    assert len(well.requests()) == ROWS


async def test_waiting_is_stopped_at_once(bench: Bench) -> None:
    """A stop does not wait for a host, and loses nothing."""
    away = bench.images.host("away", refuse=True)
    task = bench.task(rows(*[away] * ROWS))

    async def stop(attempt: ShardImport) -> None:
        async with asyncio.timeout(30):
            while not bench.catalogue.hosts.waiting(task.id):  # noqa: ASYNC110 - another thread writes it
                await asyncio.sleep(0.05)
        attempt.stop("asked to")

    with pytest.raises(Interrupted):
        await bench.run(task, use=stop)
    away.switch()
    await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)) == (ROWS, {})


async def test_a_waiting_row_does_not_stop_a_task_that_stops_at_errors(bench: Bench) -> None:
    """A bad row does."""
    away = bench.images.host("away", status=429, retry_after="2")
    task = bench.task(rows(*[away] * 3, *[f"{bench.images.url}/ok/{n}.jpg" for n in range(5)]), mode=Mode.STOP)

    async def mend(_attempt: ShardImport) -> None:
        await mended(bench, away, lambda: bench.succeeded(task) == 5)

    await bench.run(task, use=mend)
    assert (bench.succeeded(task), bench.failures(task)) == (8, {})
    task = bench.task(
        rows(f"{bench.images.url}/missing", *[f"{bench.images.url}/ok/{n}.jpg" for n in range(5)]), mode=Mode.STOP
    )
    with pytest.raises(TaskStopped):
        await bench.run(task)


async def test_a_host_that_others_lead_to(bench: Bench) -> None:
    """Behind a redirect, the trouble is that of the host that it leads to: the first one stays usable."""
    away = bench.images.host("away", status=503)
    led = [f"{bench.images.url}/redirect?to={away.image(n=n)}" for n in range(ROWS)]
    task = bench.task(rows(*[uri for n, one in enumerate(led) for uri in (one, f"{bench.images.url}/ok/{n}.jpg")]))

    async def mend(_attempt: ShardImport) -> None:
        await mended(bench, away, lambda: bench.succeeded(task) == ROWS)
        (waiting,) = bench.catalogue.hosts.waiting(task.id)
        assert waiting.host == away.name

    await bench.run(task, use=mend)
    assert (bench.succeeded(task), bench.failures(task)) == (2 * ROWS, {})


@pytest.mark.parametrize("threads", [1, 3])
async def test_no_host_gets_more_requests_at_a_time(bench: Bench, threads: int) -> None:
    """Than `host_threads`; each gets as many, and the others go on meanwhile."""
    both = [bench.images.host(name, latency_s=0.05) for name in ("one", "two")]
    task = bench.task(rows(*both * ROWS), host_threads=threads)
    await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)) == (2 * ROWS, {})
    assert [max(one["at_once"] for one in host.requests()) for host in both] == [threads, threads]


@pytest.mark.parametrize("hints", ["", "ratelimit", "ratelimit-fields", "x-ratelimit"])
async def test_a_host_that_takes_few_requests_costs_no_row(bench: Bench, hints: str) -> None:
    """It is asked as often as it takes; soon hardly more often, if it says how many."""
    limited = bench.images.host("limited", per_second=4, retry_after="1", hints=hints)
    task = bench.task(rows(*[limited] * ROWS), thread_num=20)
    await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)) == (ROWS, {})
    seen = limited.requests()
    settled = [one["status"] for one in seen[len(seen) // 2 :]]
    assert settled.count(429) <= len(settled) / (4 if hints else 2)


async def test_cookies_outlive_an_attempt(bench: Bench) -> None:
    """A host that still makes the image has it a moment later; its cookie is sent then."""
    picture = make_image()
    wait = head("Retry-After: 0", "Set-Cookie: ticket=7; Path=/", "Content-Length: 0", status="202 Accepted")
    here = head(f"Content-Length: {len(picture)}") + picture
    with evil(lambda server: [here if len(server.asked) == 3 else wait]) as host:
        task = bench.task(rows(host.url()))
        await bench.run(task)
    assert bench.succeeded(task) == 1
    assert [asked.get("cookie") for _, asked in host.asked] == [None, "ticket=7", "ticket=7"]


async def test_signatures_that_have_expired_are_named(bench: Bench) -> None:
    """Each of many signed URLs that are refused is its row's failure; the task says what they have in common."""
    refused = [f"{bench.images.url}/status/403?n={n}&X-Amz-Signature=abc" for n in range(ROWS)]
    task = bench.task(rows(*refused, f"{bench.images.url}/ok/1.jpg"))
    await bench.run(task)
    words = [message for _, message in bench.failures(task).values()]
    assert len(words) == ROWS
    assert {message for message in words if message.endswith("their signatures may have expired")} == {words[-1]}
    assert {entry.reason for entry in bench.catalogue.ledger.log(task.id)} == {Reason.FORBIDDEN}
    assert "signatures may have expired" in bench.catalogue.tasks.get(task.id).last_error
    plain = bench.task(rows(*[f"{bench.images.url}/status/403?n={n}" for n in range(ROWS)]))
    await bench.run(plain)
    assert {message for _, message in bench.failures(plain).values()} == {"403 Forbidden"}
    assert not bench.catalogue.tasks.get(plain.id).last_error


@pytest.mark.slow
async def test_a_thousand_dead_hosts_take_little_memory(bench: Bench) -> None:
    """As many as the rows of a large shard can name; the rows between are imported, and the process ends."""
    hosts_of_shard = 1000
    lines = []
    for n in range(hosts_of_shard):
        lines += [f"http://127.1.{n // 250}.{n % 250 + 1}:9/{k}.jpg" for k in range(4)]
        lines.append(f"{bench.images.url}/ok/{n}.jpg")
    task = bench.task(rows(*lines, *[lines[-1]] * 3 * len(lines)), thread_num=20)  # in four shards of that size
    before = peak_bytes()
    with pytest.raises(ShardWaits):
        await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)) == (hosts_of_shard, {})
    assert peak_bytes() - before < 60_000_000
