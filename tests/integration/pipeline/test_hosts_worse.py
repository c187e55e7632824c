"""Image hosts and machines that behave worse than those of `test_hosts`."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import count

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from yarl import URL

from face_import.catalogue import HostState, Trouble
from face_import.catalogue.schema import host as host_table
from face_import.domain.models import Row
from face_import.errors import Interrupted, ShardWaits
from face_import.pipeline.host import Host
from face_import.pipeline.shard import ShardImport
from tests.doubles.images import make_image
from tests.integration.clients.evil import Evil, evil, head
from tests.integration.pipeline.conftest import Bench
from tests.integration.pipeline.test_hosts import rows

PICTURE = make_image()
HERE = head(f"Content-Length: {len(PICTURE)}") + PICTURE
AWAY = head("Content-Length: 0", status="503 Service Unavailable")


@pytest.fixture(autouse=True)
def _patient(bench: Bench) -> None:
    """The face services are not what is tested here, however busy the machine is."""
    bench.settings = bench.settings.model_copy(update={"outage_patience_s": 60})


async def test_retry_after_0_is_not_asked_more_often(bench: Bench) -> None:
    """Than a host that does not say."""
    away = bench.images.host("away", status=503, retry_after="0", for_s=6)
    task = bench.task(rows(*[away] * 20))
    await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)) == (20, {})
    assert sum(one["status"] != 200 for one in away.requests()) < task.config.thread_num + 6


async def test_a_host_that_is_down_and_answers_no_http_is_still_down(bench: Bench) -> None:
    """The rows that ask it are no 101, and others ask soon after."""

    def answer(_server: Evil) -> Iterable[bytes]:
        since = time.monotonic() - began
        if since < 1:
            return []
        return [b"garbage\r\n\r\n"] if since < 5 else [HERE]

    began = time.monotonic()
    with evil(answer) as server:
        task = bench.task(rows(*[server.url(f"/{n}") for n in range(10)]), thread_num=3)
        async with asyncio.timeout(25):
            await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)) == (10, {})


async def test_a_policy_does_not_make_a_host_available(bench: Bench) -> None:
    """That comes with a 429: its `Retry-After` holds."""
    number = count(1)

    def answer(_server: Evil) -> Iterable[bytes]:
        if time.monotonic() - began > 6:
            return [HERE]
        policy = f'RateLimit-Policy: "a";q=1000;w={next(number)}'
        return [head("Retry-After: 5", policy, status="429 Too Many Requests")]

    began = time.monotonic()
    with evil(answer) as server:
        task = bench.task(rows(*[server.url(f"/{n}") for n in range(20)]), thread_num=4)
        asked: list[int] = []

        async def look(_attempt: ShardImport) -> None:
            await asyncio.sleep(5)
            asked.append(len(server.asked))

        began = time.monotonic()
        await bench.run(task, use=look)
    assert asked[0] <= task.config.thread_num + 1
    assert (bench.succeeded(task), bench.failures(task)) == (20, {})


async def test_nothing_left_for_an_hour_is_not_believed(bench: Bench) -> None:
    """For longer than a `Retry-After` would be."""
    bench.settings = bench.settings.model_copy(update={"fetch_patience_s": 2.0})
    hint = head(f"Content-Length: {len(PICTURE)}", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 3600")
    with evil(lambda _: [hint + PICTURE]) as server:
        task = bench.task(rows(*[server.url(f"/{n}") for n in range(6)]), thread_num=3)
        async with asyncio.timeout(30):
            await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)) == (6, {})


async def test_waiting_for_a_host_does_not_use_up_a_rows_own_patience(bench: Bench) -> None:
    """A row that waited long gets its attempts nevertheless."""
    bench.settings = bench.settings.model_copy(update={"fetch_patience_s": 3.0})
    failed: set[str] = set()

    def answer(server: Evil) -> Iterable[bytes]:
        path = server.asked[-1][0]
        if time.monotonic() - began < 6:
            return [AWAY]
        if path in failed:
            return [HERE]
        failed.add(path)
        return [head("Content-Length: 0", status="500 Internal Server Error")]

    began = time.monotonic()
    with evil(answer) as server:
        task = bench.task(rows(*[server.url(f"/{n}") for n in range(10)]), thread_num=4)
        began = time.monotonic()
        await bench.run(task)
    assert (bench.succeeded(task), bench.failures(task)) == (10, {})


async def test_hosts_that_are_away_do_not_keep_places_from_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there are more than a shard shares with others at a time."""
    monkeypatch.setattr("face_import.pipeline.hosts.MOST_REPORTED", 2)
    away = [bench.images.host(f"away{n}", status=503) for n in range(3)]
    well = bench.images.host("well")
    task = bench.task(rows(*[host for host in away for _ in range(6)], *[well] * 4), host_threads=1)

    async def mend(_attempt: ShardImport) -> None:
        try:
            async with asyncio.timeout(20):
                while bench.succeeded(task) < 4:  # noqa: ASYNC110 - another thread writes it
                    await asyncio.sleep(0.1)
        finally:
            for host in away:
                host.switch()

    await bench.run(task, use=mend)
    assert (bench.succeeded(task), bench.failures(task)) == (22, {})


async def test_a_catalogue_that_is_down_is_not_asked_all_the_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the log fill up."""
    task = bench.task(rows(bench.images.host("slow", latency_s=4)))
    news, asked = bench.catalogue.hosts.news, count()

    def down(task_id: str, version: int) -> tuple[int, list[HostState]]:
        if next(asked) < 2:
            return news(task_id, version)
        raise OperationalError("down", {}, Exception())

    monkeypatch.setattr(bench.catalogue.hosts, "news", down)
    await bench.run(task)
    assert next(asked) < 20


def test_a_host_that_nobody_has_asked_is_not_given_up(bench: Bench) -> None:
    """The machine was off for a night, and its network is not there yet."""
    task = bench.task(["http://a/1,x"])
    hosts, columns = bench.catalogue.hosts, host_table.c
    hosts.trouble(task.id, Trouble("http://a", "503"))
    moments = (columns.since, columns.retry_at, columns.patience_until)
    with bench.catalogue.engine.begin() as connection:
        connection.execute(update(host_table).values({column.name: column - 30_000 for column in moments}))
    state, over = hosts.failed_probe(task.id, Trouble("http://a", "503"))
    assert (state.given_up, over) == (False, False)
    assert state.down_s is not None
    assert state.down_s < 60


async def test_a_shard_leaves_a_host_that_wants_to_be_asked_often(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would keep its process from shards that have something to do, for hours."""
    monkeypatch.setattr("face_import.pipeline.rest.REST_S", 5.0)
    away = bench.images.host("away", status=503, retry_after="4")
    task = bench.task(rows(*[away] * 10))
    with pytest.raises(ShardWaits):
        async with asyncio.timeout(30):
            await bench.run(task)
    assert bench.failures(task) == {}


async def test_urls_that_are_always_unavailable_beside_another_shard(bench: Bench) -> None:
    """Which gets answers from their host: they fail, instead of holding it up for ever."""
    bad = bench.images.host("bad", status=503)
    task = bench.task(rows(*[bad] * 5))

    async def other_shard(attempt: ShardImport) -> None:
        for _ in range(40):
            await asyncio.sleep(1)
            if bench.catalogue.hosts.waiting(task.id):
                bench.catalogue.hosts.answers(task.id, bad.url)
            if len(bench.failures(task)) == 5:
                break
        attempt.stop("enough")

    with suppress(Interrupted):
        await bench.run(task, use=other_shard)
    assert len(bench.failures(task)) == 5


@pytest.mark.parametrize(("status", "good"), [(200, True), (304, True), (202, False), (204, False), (404, False)])
async def test_what_can_be_fetched_again(bench: Bench, status: int, *, good: bool) -> None:
    """A picture, and one that has not changed: a host that still has it is not down."""
    task = bench.task(rows(bench.images.host("well")))
    hosts: list[Host] = []

    async def look(attempt: ShardImport) -> None:
        visit = attempt._visits.visit(Row(7, 7, "http://a/7"))
        url = URL("http://a/7")
        visit.ask(url)
        visit.answered(url, status, {})
        visit.ended()
        hosts.append(attempt._hosts.of("http://a"))

    await bench.run(task, use=look)
    assert bool(hosts[0].good) is good
