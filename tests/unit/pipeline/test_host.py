"""One host as a shard sees it: which rows may start, and what it asks for."""

import pytest

from face_import.catalogue import Demand, HostState
from face_import.domain.models import Row
from face_import.pipeline import host as module
from face_import.pipeline.host import MOST_WANTED, Host

ORIGIN = "https://a.test:8443"


class Clock:
    """A clock that a test sets."""

    now = 1_000.0

    def monotonic(self) -> float:
        """The time in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of hosts."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def rows(count: int) -> list[Row]:
    """Rows that wait."""
    return [Row(n, n, "uri") for n in range(1, count + 1)]


def waiting(count: int, **state: object) -> Host:
    """A host with waiting rows."""
    host = Host(ORIGIN, **state)  # type: ignore[arg-type]
    host.waiting.extend(rows(count))
    return host


def state(**known: object) -> HostState:
    """What the catalogue knows."""
    return HostState(ORIGIN, **known)  # type: ignore[arg-type]


def started(host: Host, count: int) -> list[int]:
    """Which of so many rows may start."""
    return [row for row in range(1, count + 1) if host.starts(row)]


def test_a_host_without_trouble_bounds_nothing() -> None:
    """Every row starts, and nobody else has to know."""
    host = waiting(3)
    assert started(host, 100) == list(range(1, 101))
    assert (host.room(), host.shared, host.name) == (3, False, "a.test:8443")
    assert host.demand() == Demand(3, 0, 0)


def test_a_bound_is_one_of_rows_under_way() -> None:
    """Without places none starts; a row that is redirected to the same host keeps its place; one that ends frees it."""
    host = Host(ORIGIN, bounded=True)
    assert started(host, 3) == []
    host.places = 2
    assert started(host, 5) == [1, 2]
    assert started(host, 2) == [1, 2]
    host.fetching.discard(1)
    assert [row for row in (3, 4) if host.starts(row)] == [3]
    assert host.fetching == {2, 3}


def test_rows_that_were_released_count_until_they_come() -> None:
    """A place is not given to two of them, and one that is refused has come."""
    host = waiting(5, bounded=True, places=3)
    assert host.room() == 3
    host.coming.update({1, 2})
    assert host.room() == 1
    assert host.starts(1)
    assert (host.coming, host.fetching, host.room()) == ({2}, {1}, 1)
    host.places = 1
    assert not host.starts(2)
    assert (host.coming, host.room()) == (set(), 0)
    host.places = 0
    assert host.room() == 0


def test_while_it_is_down_only_the_probe_asks(clock: Clock) -> None:
    """Whatever its places; none of the others is released."""
    host = waiting(3, bounded=True, places=3)
    host.learn(state(down_s=10.0, retry_s=5.0))
    assert (host.down, host.may_probe, host.room(), started(host, 3)) == (True, False, 0, [])
    clock.now += 5
    assert host.may_probe
    host.probe = 2
    assert not host.may_probe
    assert started(host, 3) == [2]
    assert host.fetching == {2}


def test_a_probe_needs_a_place_too(clock: Clock) -> None:
    """Fetches that are under way when a host goes down count until they end."""
    host = Host(ORIGIN, bounded=True, places=1, fetching={7})
    host.learn(state(down_s=0.0, retry_s=0.0))
    assert not host.may_probe
    host.fetching.clear()
    assert host.may_probe
    assert clock.now == host.retry_at


def test_rows_of_a_host_that_was_given_up_come_back_to_fail() -> None:
    """All at once, and nobody probes it."""
    host = waiting(9, bounded=True)
    host.learn(state(down_s=99.0, given_up=True))
    assert (host.room(), host.may_probe) == (9, False)


def test_a_pace_spaces_the_requests(clock: Clock) -> None:
    """Not more than so many a second, however the rows come; what was not used is not saved up."""
    host = waiting(9, pace=4.0)
    assert host.room() == 1
    assert started(host, 5) == [1]
    assert host.room() == 0
    clock.now += 0.25
    assert host.room() == 1
    host.coming.add(2)
    assert host.room() == 0
    clock.now += 60
    assert [row for row in range(2, 9) if host.starts(row)] == [2]


def test_a_pause_is_for_all_rows(clock: Clock) -> None:
    """Nothing is left until then; a row under way goes on."""
    host = waiting(9, fetching={50})
    host.next_at = clock.now + 3
    assert (host.room(), started(host, 9), host.starts(50)) == (0, [], True)
    clock.now += 3
    assert (host.room(), started(host, 9)) == (9, list(range(1, 10)))


def test_a_second_is_full_of_requests_at_a_pace(clock: Clock) -> None:
    """Rows that try every millisecond make as many as the host allows, one more at most."""
    host = Host(ORIGIN, pace=7.0)
    made = 0
    for row in range(10_000):
        made += host.starts(row)
        clock.now += 0.001
    assert 69 <= made <= 71


@pytest.mark.parametrize(
    ("host", "demand"),
    [
        (waiting(3, bounded=True), Demand(3, 3, 0)),
        (waiting(3, bounded=True, fetching={7}, coming={8, 9}), Demand(3, 6, 1)),
        (waiting(3, bounded=True, places=5, fetching={7}), Demand(3, 4, 5)),
        (waiting(3, bounded=True, places=1, fetching={7, 8}), Demand(3, 5, 2)),
        (waiting(3, pace=1.0), Demand(3, 3, 0)),
        (waiting(2 * MOST_WANTED, bounded=True), Demand(2 * MOST_WANTED, MOST_WANTED, 0)),
        (waiting(3, bounded=True, down_since=0.0), Demand(3, 1, 0)),
        (waiting(3, bounded=True, down_since=0.0, places=9, fetching={7, 8}), Demand(3, 1, 9)),
    ],
    ids=repr,
)
def test_what_it_asks_for(host: Host, demand: Demand) -> None:
    """Rows that it has; what it may have under way until it reads the answer; one place while the host is down."""
    assert host.demand() == demand
    assert host.asked


def test_places_that_it_does_not_want_are_given_back() -> None:
    """With the demand: it starts nothing with them while the answer is on its way."""
    host = Host(ORIGIN, bounded=True, places=5)
    assert host.demand() == Demand(0, 0, 0)
    assert (host.asked, started(host, 3)) == (False, [])


def test_news_replace_what_was_known(clock: Clock) -> None:
    """Of its state and bound; its own share of a pace stays until the next one is read."""
    host = Host(ORIGIN, asked=True)
    host.learn(state(reason="503", down_s=7.0, retry_s=3.0, bounded=True, pace=4.0))
    assert (host.reason, host.down_since, host.retry_at) == ("503", clock.now - 7, clock.now + 3)
    assert (host.bounded, host.pace, host.asked) == (True, 4.0, False)
    host.pace = 2.0
    host.learn(state(pace=4.0))
    assert (host.down, host.pace, host.bounded) == (False, 2.0, True)
    host.learn(state())
    assert host.pace is None


def test_it_is_idle_when_no_row_has_to_do_with_it() -> None:
    """Each way in which one may."""
    assert Host(ORIGIN).idle
    busy = [waiting(1), Host(ORIGIN, coming={1}), Host(ORIGIN, fetching={1}), Host(ORIGIN, probe=1)]
    assert not any(host.idle for host in busy)


def test_no_more_are_under_way_than_are_left() -> None:
    """Each answer says anew how many; when none are left, one row asks how many there are."""
    host = waiting(10, left=3)
    assert host.room() == 3
    assert started(host, 10) == [1, 2, 3]
    host.fetching.clear()
    host.left = 0
    assert started(host, 10) == [1]
    host.bounded, host.places, host.left = True, 2, 100
    host.fetching.clear()
    assert started(host, 10) == [1, 2]
