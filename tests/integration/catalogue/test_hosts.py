"""What all shards know about image hosts in trouble, on SQLite and on PostgreSQL where a server is reachable."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select, text, update

from face_import.catalogue import Catalogue, Demand, Hosts, TaskConfig, Trouble
from face_import.catalogue.hosts import FIRST_RETRY_S, GROW_S, LONGEST_RETRY_S, MOST_SHOWN, SEVERAL, HostState
from face_import.catalogue.schema import host, place
from face_import.contract import Code, Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Outcome, OutcomeBatch, Shard
from face_import.errors import TaskNotFound
from tests.catalogues import DATABASES, catalogue_on

A, B = "http://a.test", "https://b.test:8443"
PATIENCE_S, GIVE_UP_S = 600.0, 14_400.0
SOON = pytest.approx
THREADS = 8
LATE_S = 30.0
"""By how much a busy machine may be late."""


@pytest.fixture(scope="module", params=DATABASES)
def catalogue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """A catalogue of each kind; its tests have tasks of their own."""
    yield from catalogue_on(request.param, tmp_path_factory.mktemp("home"))


@pytest.fixture
def hosts(catalogue: Catalogue) -> Hosts:
    """The hosts, with known patience."""
    return Hosts(catalogue.engine, PATIENCE_S, GIVE_UP_S)


MakeTask = Callable[..., str]


@pytest.fixture
def make_task(catalogue: Catalogue) -> MakeTask:
    """Make a running task of some shards with a row each; returns its id."""

    def make(*, shards: int = 2, thread_num: int = 40, host_threads: int = 0) -> str:
        task_id = new_task_id()
        config = TaskConfig("staff", "faces.csv", Limits(), thread_num, Mode.SKIP, host_threads=host_threads)
        catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED)
        catalogue.plans.commit(task_id, [Shard(n, n + 1, 1, n, n + 1, n + 1) for n in range(shards)], shards)
        catalogue.tasks.start(task_id)
        return task_id

    return make


@pytest.fixture
def task_id(make_task: MakeTask) -> str:
    """A running task."""
    return make_task()


@pytest.fixture
def later(catalogue: Catalogue) -> Callable[[str, float], None]:
    """Let seconds pass for the hosts of a task."""

    def later(task_id: str, seconds: float) -> None:
        moments = ("since", "patience_until", "retry_at", "probe_until", "most_since")
        with catalogue.engine.begin() as connection:
            passed = {name: host.c[name] - seconds for name in moments}
            connection.execute(update(host).where(host.c.task_id == task_id).values(passed))

    return later


Later = Callable[[str, float], None]


def away(hosts: Hosts, task_id: str, later: Later, seconds: float) -> HostState:
    """Let seconds pass in which a host is asked now and then, and does not answer."""
    for _ in range(int(seconds // (PATIENCE_S / 2))):
        later(task_id, PATIENCE_S / 2)
        state, _ = hosts.failed_probe(task_id, unavailable())
    return state


def unavailable(origin: str = A, retry_after: float | None = None) -> Trouble:
    """A host is not there."""
    return Trouble(origin, "503 Service Unavailable", retry_after)


def overloaded(origin: str = A, retry_after: float | None = None) -> Trouble:
    """A host gets too many requests."""
    return Trouble(origin, "429 Too Many Requests", retry_after, overloaded=True)


def places(catalogue: Catalogue, task_id: str, origin: str = A) -> int | None:
    """What a shard that wants everything gets."""
    catalogue.leases.take(task_id, 0, "me", 1)
    return catalogue.places.share(task_id, 0, "me", {origin: Demand(0, 1_000, 0)})[origin].places


def down(state: HostState) -> bool:
    """Whether a host is down."""
    return state.down_s is not None


# Down and up


def test_a_host_is_down_until_it_answers(hosts: Hosts, task_id: str) -> None:
    """It is down with its reason for all shards; other hosts are not."""
    state = hosts.trouble(task_id, unavailable())
    assert (state.origin, state.reason, state.given_up, state.bounded) == (A, "503 Service Unavailable", False, False)
    assert 0 <= state.down_s < LATE_S if state.down_s is not None else False
    assert FIRST_RETRY_S - LATE_S < state.retry_s <= FIRST_RETRY_S
    assert [one.host for one in hosts.waiting(task_id)] == ["a.test"]
    assert not down(hosts.answers(task_id, A))
    assert hosts.waiting(task_id) == []


@pytest.mark.parametrize(
    ("asked", "retry_s"),
    [(None, FIRST_RETRY_S), (0.0, FIRST_RETRY_S), (30.0, 30.0), (PATIENCE_S, PATIENCE_S), (1e15, PATIENCE_S)],
)
def test_retry_after_is_obeyed_up_to_the_patience(
    hosts: Hosts, task_id: str, asked: float | None, retry_s: float
) -> None:
    """Whatever its size, at the first trouble and at a probe; zero says nothing."""
    assert retry_s - LATE_S < hosts.trouble(task_id, unavailable(retry_after=asked)).retry_s <= retry_s
    state, _ = hosts.failed_probe(task_id, unavailable(retry_after=asked))
    wanted = retry_s if asked else 2 * FIRST_RETRY_S
    assert wanted - LATE_S < state.retry_s <= wanted


def test_a_host_that_is_down_may_ask_for_a_longer_pause_only(hosts: Hosts, task_id: str, later: Later) -> None:
    """Answers to requests that were under way come after it went down: a shorter pause says nothing new."""
    hosts.trouble(task_id, unavailable())
    assert 300 - LATE_S < hosts.trouble(task_id, unavailable(retry_after=300)).retry_s <= 300
    assert 300 - LATE_S < hosts.trouble(task_id, unavailable(retry_after=100)).retry_s <= 300
    assert 300 - LATE_S < hosts.trouble(task_id, unavailable()).retry_s <= 300
    later(task_id, 250)
    state = hosts.trouble(task_id, unavailable(retry_after=1e15))
    assert PATIENCE_S - LATE_S < state.retry_s <= PATIENCE_S
    assert state.down_s is not None
    assert state.down_s >= 250


# Probes


def test_a_probe_is_one_shards(hosts: Hosts, catalogue: Catalogue, task_id: str, later: Later) -> None:
    """Of many that ask at once, again and again; and only when it is time."""
    hosts.trouble(task_id, unavailable(retry_after=60))
    assert not hosts.claim(task_id, A, "me", 60)
    barrier = Barrier(THREADS)

    def claim(owner: int) -> bool:
        barrier.wait(30)
        return hosts.claim(task_id, A, str(owner), 60)

    for _ in range(5):
        later(task_id, 1_000)
        with ThreadPoolExecutor(THREADS) as threads:
            assert sum(threads.map(claim, range(THREADS))) == 1
        assert not hosts.claim(task_id, A, "me", 60)
    with catalogue.engine.connect() as connection:
        assert connection.scalar(select(host.c.prober).where(host.c.task_id == task_id)) in map(str, range(THREADS))


def test_a_claim_ends_with_its_process(hosts: Hosts, task_id: str, later: Later) -> None:
    """A shard that was killed keeps others from asking for as long as a probe takes, not longer."""
    hosts.trouble(task_id, unavailable())
    later(task_id, FIRST_RETRY_S)
    assert hosts.claim(task_id, A, "killed", 60)
    assert not hosts.claim(task_id, A, "next", 60)
    later(task_id, 60)
    assert hosts.claim(task_id, A, "next", 60)


def test_nobody_probes_what_is_not_down(hosts: Hosts, task_id: str, make_task: MakeTask, later: Later) -> None:
    """A host that is unknown, answers, or was given up, or is another task's."""
    assert not hosts.claim(task_id, A, "me", 60)
    hosts.paces(task_id, A, 4.0)
    assert not hosts.claim(task_id, A, "me", 60)
    hosts.trouble(task_id, unavailable())
    assert not hosts.claim(make_task(), A, "me", 60)
    assert not hosts.claim(task_id, B, "me", 60)
    assert away(hosts, task_id, later, GIVE_UP_S).given_up
    later(task_id, GIVE_UP_S)
    assert not hosts.claim(task_id, A, "me", 60)
    hosts.answers(task_id, A)
    assert not hosts.claim(task_id, A, "me", 60)


def test_probes_come_at_growing_intervals(hosts: Hosts, task_id: str) -> None:
    """A host that is down for long is asked once a minute."""
    hosts.trouble(task_id, unavailable())
    for wanted in (2, 4, 8, 16, 32, LONGEST_RETRY_S, LONGEST_RETRY_S):
        state, over = hosts.failed_probe(task_id, unavailable())
        assert wanted - LATE_S < state.retry_s <= wanted
        assert not over
    hosts.answers(task_id, A)
    assert hosts.trouble(task_id, unavailable()).retry_s <= FIRST_RETRY_S
    assert hosts.failed_probe(task_id, unavailable())[0].retry_s <= 2 * FIRST_RETRY_S


def test_a_failed_probe_lets_the_next_shard_ask(hosts: Hosts, task_id: str, later: Later) -> None:
    """The claim ends with the answer."""
    hosts.trouble(task_id, unavailable())
    for owner in ("me", "next"):
        hosts.failed_probe(task_id, unavailable())
        later(task_id, LONGEST_RETRY_S)
        assert hosts.claim(task_id, A, owner, 60)


def test_each_patience_costs_a_row(hosts: Hosts, task_id: str, later: Later) -> None:
    """When it is over, the row that asked fails, and the next ones wait as long again."""
    hosts.trouble(task_id, unavailable())
    for _ in range(3):
        assert hosts.failed_probe(task_id, unavailable())[1] is False
        later(task_id, PATIENCE_S / 2)
        assert hosts.failed_probe(task_id, unavailable())[1] is False
        later(task_id, PATIENCE_S / 2)
        state, over = hosts.failed_probe(task_id, unavailable())
        assert (over, state.given_up) == (True, False)


def test_a_host_is_given_up_in_the_end(hosts: Hosts, task_id: str, later: Later) -> None:
    """Four hours after it went down, whatever its patience says; nobody waits for it any more."""
    hosts.trouble(task_id, unavailable())
    assert not away(hosts, task_id, later, GIVE_UP_S - PATIENCE_S / 2).given_up
    assert away(hosts, task_id, later, PATIENCE_S / 2).given_up
    assert hosts.waiting(task_id) == []
    assert hosts.trouble(task_id, unavailable()).given_up
    assert hosts.news(task_id, 0)[1][0].given_up
    assert not hosts.answers(task_id, A).given_up


def test_a_probe_of_a_host_that_nobody_knows_is_the_first_trouble(hosts: Hosts, task_id: str) -> None:
    """The task was started again while it was under way: the row is asked again."""
    state, over = hosts.failed_probe(task_id, unavailable())
    assert (down(state), over, state.given_up) == (True, False, False)


# Lost rows


def test_several_lost_rows_are_a_hosts(hosts: Hosts, task_id: str) -> None:
    """Each may be in a shard of its own; an answer clears the count, and each host has its own."""
    for _ in range(2):
        for _ in range(SEVERAL - 1):
            assert hosts.lost_row(task_id, unavailable()) is None
        assert hosts.lost_row(task_id, unavailable(B)) is None
        hosts.answers(task_id, B)
        hosts.answers(task_id, A)
    for _ in range(SEVERAL - 1):
        assert hosts.lost_row(task_id, unavailable()) is None
    assert hosts.waiting(task_id) == []
    state = hosts.lost_row(task_id, unavailable())
    assert state is not None
    assert down(state)
    assert state.retry_s <= FIRST_RETRY_S


def test_a_row_lost_at_a_host_that_is_down_waits(hosts: Hosts, task_id: str) -> None:
    """Another shard knew it first."""
    hosts.trouble(task_id, unavailable())
    state = hosts.lost_row(task_id, unavailable(retry_after=300))
    assert state is not None
    assert state.retry_s > LATE_S


def test_lost_rows_of_many_shards_are_all_counted(hosts: Hosts, task_id: str) -> None:
    """At the same time, too: exactly the first ones get None."""
    with ThreadPoolExecutor(THREADS) as threads:
        states = list(threads.map(lambda _: hosts.lost_row(task_id, unavailable()), range(THREADS)))
    assert sum(state is None for state in states) == SEVERAL - 1


# Fetches at a time


def test_an_overloaded_host_gets_half(hosts: Hosts, catalogue: Catalogue, make_task: MakeTask, later: Later) -> None:
    """Of what it has got: once in each pause, however many rows get the answer, and one fetch at least."""
    task_id = make_task(thread_num=40)
    assert places(catalogue, task_id) is None
    for most in (20, 10, 5, 2, 1, 1):
        for _ in range(5):
            assert hosts.trouble(task_id, overloaded(retry_after=300)).bounded
        hosts.failed_probe(task_id, overloaded())
        assert places(catalogue, task_id) == most
        later(task_id, 300)
        hosts.answers(task_id, A)
        assert places(catalogue, task_id) == most
    assert places(catalogue, task_id, B) is None


def test_half_of_what_the_task_allows(hosts: Hosts, catalogue: Catalogue, make_task: MakeTask) -> None:
    """A bound of every host is the first to be halved, and holds for the others as it is."""
    task_id = make_task(thread_num=40, host_threads=8)
    hosts.trouble(task_id, overloaded())
    assert (places(catalogue, task_id), places(catalogue, task_id, B)) == (4, 8)


def test_it_grows_by_one_and_one(hosts: Hosts, catalogue: Catalogue, make_task: MakeTask, later: Later) -> None:
    """While it answers; half of what it has come to is the next, and with all that the task has the bound ends."""
    task_id = make_task(thread_num=8)
    hosts.trouble(task_id, overloaded())
    hosts.answers(task_id, A)
    for most in (4, 5, 6, 7):
        assert places(catalogue, task_id) == most
        later(task_id, GROW_S)
    assert places(catalogue, task_id) is None
    assert not hosts.news(task_id, 0)[1][0].bounded
    hosts.trouble(task_id, overloaded())
    hosts.answers(task_id, A)
    later(task_id, 2 * GROW_S)
    hosts.trouble(task_id, overloaded())
    assert places(catalogue, task_id) == 3


def test_a_host_that_answers_all_the_time_grows(
    hosts: Hosts, catalogue: Catalogue, make_task: MakeTask, later: Later
) -> None:
    """That it has answered is said again with each new hint: growth does not start anew."""
    task_id = make_task(thread_num=40)
    hosts.trouble(task_id, overloaded())
    hosts.answers(task_id, A)
    later(task_id, 10 * GROW_S)
    hosts.paces(task_id, A, 4.0)
    hosts.answers(task_id, A)
    assert places(catalogue, task_id) == 30


def test_a_break_costs_no_growth(hosts: Hosts, catalogue: Catalogue, make_task: MakeTask, later: Later) -> None:
    """A host that was away for a moment gets as much as before; while it is away, it does not grow."""
    task_id = make_task(thread_num=40)
    hosts.trouble(task_id, overloaded())
    hosts.answers(task_id, A)
    later(task_id, 10 * GROW_S)
    assert places(catalogue, task_id) == 30
    hosts.trouble(task_id, unavailable())
    later(task_id, 5 * GROW_S)
    hosts.answers(task_id, A)
    assert places(catalogue, task_id) == 30


def test_a_pace_is_known_to_all(hosts: Hosts, catalogue: Catalogue, task_id: str) -> None:
    """And shared by those that have rows for the host."""
    assert hosts.paces(task_id, A, 4.0).pace == 4.0
    (state,) = hosts.news(task_id, 0)[1]
    assert (state.pace, down(state), state.bounded) == (4.0, False, False)
    shares = []
    for number in (0, 1, 0):
        catalogue.leases.take(task_id, number, str(number), 1)
        shares.append(catalogue.places.share(task_id, number, str(number), {A: Demand(1, 1, 0), B: Demand(1, 1, 0)}))
    assert [share[A].pace for share in shares] == [4.0, 2.0, 2.0]
    assert {share[B].pace for share in shares} == {None}


# News


def test_news_is_what_has_changed(hosts: Hosts, task_id: str) -> None:
    """Each change of each kind once; who comes anew learns all that is known."""
    assert hosts.news(task_id, 0) == (0, [])
    seen = 0
    changes: list[Callable[[], object]] = [
        lambda: hosts.trouble(task_id, unavailable()),
        lambda: hosts.failed_probe(task_id, unavailable()),
        lambda: hosts.answers(task_id, A),
        lambda: hosts.paces(task_id, A, 2.0),
        lambda: [hosts.lost_row(task_id, unavailable()) for _ in range(SEVERAL)],
    ]
    for change in changes:
        change()
        version, states = hosts.news(task_id, seen)
        assert version > seen
        assert [state.origin for state in states] == [A]
        seen = version
        assert hosts.news(task_id, seen) == (seen, [])
    hosts.trouble(task_id, unavailable(B))
    assert [state.origin for state in hosts.news(task_id, seen)[1]] == [B]
    assert sorted(state.origin for state in hosts.news(task_id, 0)[1]) == [A, B]
    assert hosts.news("no such task", 0) == (0, [])


def test_no_news_is_missed(hosts: Hosts, task_id: str) -> None:
    """A reader beside writers on connections of their own knows in the end what the catalogue knows."""
    origins = [f"http://h{n}.test" for n in range(4)]
    known: dict[str, bool] = {}
    seen = 0

    def write(origin: str) -> None:
        for n in range(15):
            if n % 2:
                hosts.answers(task_id, origin)
            else:
                hosts.trouble(task_id, unavailable(origin))

    with ThreadPoolExecutor(len(origins)) as threads:
        writers = [threads.submit(write, origin) for origin in origins]
        done = False
        while not done:
            done = all(writer.done() for writer in writers)
            version, states = hosts.news(task_id, seen)
            assert version >= seen
            seen = version
            known |= {state.origin: down(state) for state in states}
    assert [writer.result() for writer in writers] == [None] * len(origins)
    assert known == {state.origin: down(state) for state in hosts.news(task_id, 0)[1]} == dict.fromkeys(origins, True)


def test_who_has_lost_its_lease_shares_nothing(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A process that stood still for a while takes no places from its successor, nor from other shards."""
    task_id = make_task(host_threads=4)
    catalogue.leases.take(task_id, 0, "late", 1)
    assert catalogue.places.share(task_id, 0, "late", {A: Demand(9, 4, 0)})[A].places == 4
    catalogue.leases.give_back(task_id, 0, "late", in_doubt=True)
    catalogue.leases.take(task_id, 0, "next", 1)
    catalogue.leases.take(task_id, 1, "other", 1)
    assert catalogue.places.share(task_id, 0, "next", {A: Demand(3, 3, 0)})[A].places == 3
    assert catalogue.places.share(task_id, 0, "late", {A: Demand(9, 4, 4)})[A].places == 0
    catalogue.places.share(task_id, 0, "late", {})
    assert catalogue.places.share(task_id, 1, "other", {A: Demand(9, 4, 0)})[A].places == 1


# For people


def test_who_waits_for_what(hosts: Hosts, catalogue: Catalogue, task_id: str) -> None:
    """Rows of all shards by host, most first, with its port; hosts that answer have none."""
    for origin in (A, B, "http://c.test"):
        hosts.trouble(task_id, unavailable(origin, 60))
    hosts.answers(task_id, "http://c.test")
    for number, waiting in enumerate((3, 4)):
        catalogue.leases.take(task_id, number, str(number), 1)
        demands = {B: Demand(waiting, 0, 0), "http://c.test": Demand(9, 0, 0)}
        catalogue.places.share(task_id, number, str(number), demands)
    found = hosts.waiting(task_id)
    assert [(one.host, one.reason, one.rows) for one in found] == [
        ("b.test:8443", "503 Service Unavailable", 7),
        ("a.test", "503 Service Unavailable", 0),
    ]
    clock = catalogue.tasks.clock()
    assert all(one.since <= clock < one.retry_at <= one.since + 61 for one in found)
    catalogue.places.share(task_id, 0, "0", {B: Demand(1, 0, 0)})
    assert hosts.waiting(task_id)[0].rows == 5


def test_only_so_many_are_shown(hosts: Hosts, task_id: str) -> None:
    """With a thousand dead hosts the answer stays small."""
    for n in range(MOST_SHOWN + 1):
        hosts.trouble(task_id, unavailable(f"http://h{n}.test"))
    assert len(hosts.waiting(task_id)) == MOST_SHOWN


def test_shards_that_wait_have_rows_and_no_process(hosts: Hosts, catalogue: Catalogue, make_task: MakeTask) -> None:
    """One whose process is at work does not count, nor one without waiting rows."""
    task_id = make_task(shards=4)
    for number, waiting in enumerate((1, 1, 0, 1)):
        catalogue.leases.take(task_id, number, str(number), 1)
        catalogue.places.share(task_id, number, str(number), {A: Demand(waiting, 1, 0), B: Demand(waiting, 1, 0)})
    assert hosts.shards_waiting(task_id) == 0
    for number in (0, 2, 3):
        catalogue.leases.give_back(task_id, number, str(number), in_doubt=False)
    assert hosts.shards_waiting(task_id) == 2


def test_shards_in_line_have_rows_that_need_no_host(hosts: Hosts, catalogue: Catalogue, make_task: MakeTask) -> None:
    """One that is at work does not count, nor one that waits, nor one that is done."""
    task_id = make_task(shards=4)
    assert hosts.shards_in_line(task_id) == 4
    for number in (0, 1, 2):
        catalogue.leases.take(task_id, number, str(number), 1)
    assert hosts.shards_in_line(task_id) == 1
    catalogue.places.share(task_id, 0, "0", {A: Demand(1, 1, 0)})
    first, rows = next((s.first_row, s.rows) for s in catalogue.plans.shards(task_id) if s.number == 1)
    outcomes = tuple(Outcome(n, "http://x", Code.OK) for n in range(first, first + rows))
    catalogue.ledger.write(OutcomeBatch(task_id, 1, "1", outcomes))
    for number in (0, 1, 2):
        catalogue.leases.give_back(task_id, number, str(number), in_doubt=False)
    assert hosts.shards_in_line(task_id) == 2


# The task


def known(catalogue: Catalogue, task_id: str) -> int:
    """Rows about the hosts of a task."""
    with catalogue.engine.connect() as connection:
        counts = [select(func.count()).select_from(table).where(table.c.task_id == task_id) for table in (host, place)]
        return sum(connection.scalar(count) or 0 for count in counts)


def wait_for_both(hosts: Hosts, catalogue: Catalogue, task_id: str) -> None:
    """Make two hosts bad, and let rows of both shards wait for them."""
    for origin in (A, B):
        hosts.trouble(task_id, overloaded(origin))
    for number in (0, 1):
        catalogue.leases.take(task_id, number, str(number), 1)
        catalogue.places.share(task_id, number, str(number), {A: Demand(1, 1, 0), B: Demand(1, 1, 0)})
        catalogue.leases.give_back(task_id, number, str(number), in_doubt=False)
    assert known(catalogue, task_id) == 6


def test_a_start_forgets(hosts: Hosts, catalogue: Catalogue, task_id: str, make_task: MakeTask) -> None:
    """Somebody may have mended the host: each is tried as if nothing had been. Other tasks keep theirs."""
    other = make_task()
    wait_for_both(hosts, catalogue, other)
    wait_for_both(hosts, catalogue, task_id)
    before, _ = hosts.news(task_id, 0)
    catalogue.tasks.stop(task_id)
    assert len(hosts.waiting(task_id)) == 2
    catalogue.tasks.start(task_id)
    assert (known(catalogue, task_id), known(catalogue, other)) == (0, 6)
    assert hosts.news(task_id, 0) == (before, [])
    assert hosts.waiting(task_id) == []
    hosts.trouble(task_id, unavailable())
    assert len(hosts.news(task_id, before)[1]) == 1


def test_fetches_under_way_outlive_a_start(hosts: Hosts, catalogue: Catalogue, make_task: MakeTask) -> None:
    """A process of the attempt before that is still ending has its places until its lease ends."""
    task_id = make_task(host_threads=4)
    for number, owner in enumerate(("old", "new")):
        catalogue.leases.take(task_id, number, owner, 1)
    assert catalogue.places.share(task_id, 0, "old", {A: Demand(0, 4, 0)})[A].places == 4
    catalogue.tasks.stop(task_id)
    catalogue.tasks.start(task_id)
    assert catalogue.places.share(task_id, 1, "new", {A: Demand(0, 4, 0)})[A].places == 0
    catalogue.leases.give_back(task_id, 0, "old", in_doubt=False)
    assert catalogue.places.share(task_id, 1, "new", {A: Demand(0, 4, 0)})[A].places == 4
    assert hosts.waiting(task_id) == []


def test_a_completed_task_knows_no_hosts(hosts: Hosts, catalogue: Catalogue, task_id: str) -> None:
    """Nothing stays of millions of tasks."""
    wait_for_both(hosts, catalogue, task_id)
    for number in (0, 1):
        catalogue.leases.take(task_id, number, "me", 1)
        outcomes = (Outcome(number + 1, "uri", Code.OK, face_id=str(number)),)
        catalogue.ledger.write(OutcomeBatch(task_id, number, "me", outcomes))
    assert catalogue.tasks.complete(task_id)
    assert known(catalogue, task_id) == 0


def test_a_deleted_task_goes_with_its_hosts(hosts: Hosts, catalogue: Catalogue, task_id: str) -> None:
    """Rows of it that a shard writes while it is purged go, too, and afterwards nothing is written."""
    wait_for_both(hosts, catalogue, task_id)
    catalogue.tasks.mark_deleted(task_id)
    while catalogue.tasks.purge_some(task_id):
        hosts.trouble(task_id, unavailable("http://late.test"))
    assert known(catalogue, task_id) == 0
    with pytest.raises(TaskNotFound):
        catalogue.tasks.get(task_id)
    assert catalogue.places.share(task_id, 0, "0", {A: Demand(1, 1, 0)})[A].places == 0


def test_any_reason_can_be_kept(hosts: Hosts, task_id: str) -> None:
    """A host's words may be anything."""
    reason = "\0 \ud800 '; DROP TABLE host; -- " + "x" * 10_000
    kept = reason.replace("\0", "\ufffd").replace("\ud800", "???".replace("?", "\ufffd"))
    assert hosts.trouble(task_id, Trouble(A, reason)).reason == kept
    assert hosts.failed_probe(task_id, Trouble(A, reason))[0].reason == kept


def test_the_clock_of_the_database_counts(catalogue: Catalogue, hosts: Hosts, task_id: str) -> None:
    """Shards on other machines agree about the moment: it is written by no machine's own clock."""
    hosts.trouble(task_id, unavailable(retry_after=60))
    with catalogue.engine.connect() as connection:
        retry_at = connection.scalar(text("SELECT retry_at FROM host WHERE task_id = :t").bindparams(t=task_id))
    assert retry_at == SOON(catalogue.tasks.clock() + 60, abs=LATE_S)
