"""Further hosts of the image host: each kind of trouble, switched while it runs, and what was asked is on record."""

import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPMessage, RemoteDisconnected
from itertools import count

import pytest

from tests.doubles.process import Host, ImageHost
from tests.waiting import until

NAMES = map(str, count())


@pytest.fixture(scope="module")
def images() -> Iterator[ImageHost]:
    """An image host."""
    with ImageHost() as running:
        yield running


@pytest.fixture
def host(images: ImageHost) -> Host:
    """A healthy host that nobody has asked yet."""
    return images.host(next(NAMES))


def ask(host: Host, path: str = "/ok/1.jpg", timeout_s: float = 5.0) -> tuple[int, HTTPMessage]:
    """Status and headers of an answer; status 0 for none."""
    try:
        with urllib.request.urlopen(f"{host.url}{path}", timeout=timeout_s) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers
    except (urllib.error.URLError, RemoteDisconnected, ConnectionError, TimeoutError):
        return 0, HTTPMessage()


def ended(connection: socket.socket) -> bool:
    """Whether a connection is over once what was sent before is read."""
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def statuses(host: Host, times: int) -> Counter[int]:
    """Count the statuses of so many requests."""
    return Counter(ask(host)[0] for _ in range(times))


def test_hosts_are_apart(images: ImageHost, host: Host) -> None:
    """One's trouble and record are no other's, nor the first host's."""
    other = images.host(next(NAMES), status=503, retry_after="7")
    assert (ask(host)[0], ask(other)[0]) == (200, 503)
    assert ask(other)[1]["Retry-After"] == "7"
    with urllib.request.urlopen(f"{images.url}/ok/1.jpg", timeout=5) as answer:
        assert answer.status == 200
    assert [len(one.requests()) for one in (host, other)] == [1, 2]
    assert images.record()["fetches"] == 1


def test_trouble_ends_by_itself_or_when_switched(host: Host) -> None:
    """After `for_s`, or at the next switch; the port stays."""
    url = host.url
    host.switch(status=503, for_s=0.3)
    assert ask(host)[0] == 503
    until(lambda: ask(host)[0] == 200, 10)
    host.switch(status=503)
    assert ask(host)[0] == 503
    assert host.switch() == url
    assert ask(host)[0] == 200


def test_a_host_takes_so_many_requests_a_second(host: Host) -> None:
    """Those above are 429, as often as one asks; a second later the next ones are taken."""
    host.switch(per_second=4, retry_after="1")
    began = time.time()
    statuses(host, 12)
    for second in range(int(time.time() - began) + 1):
        assert sum(one["status"] == 200 for one in host.requests(began + second, began + second + 0.99)) <= 4
    refused = until(lambda: next((h for status, h in [ask(host)] if status == 429), None), 10)
    assert refused["Retry-After"] == "1"
    until(lambda: ask(host)[0] == 200, 10)


@pytest.mark.parametrize(
    ("hints", "names"),
    [
        ("", set()),
        ("ratelimit", {"RateLimit", "RateLimit-Policy"}),
        ("ratelimit-fields", {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}),
        ("x-ratelimit", {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}),
    ],
)
def test_a_host_tells_how_much_it_takes(host: Host, hints: str, names: set[str]) -> None:
    """In each answer, good or bad, with the headers that are in use; or it does not tell."""
    host.switch(per_second=1, hints=hints)
    answers = [ask(host), ask(host)]
    for _status, headers in answers:
        assert {name for name in headers if "ratelimit" in name.lower()} == names
    if hints == "ratelimit":
        assert answers[0][1]["RateLimit-Policy"] == '"default";q=1;w=1'
        assert answers[0][1]["RateLimit"] == '"default";r=0;t=1'


def test_a_share_of_the_requests_fails(host: Host) -> None:
    """At random; the others do not."""
    host.switch(status=500, share=0.3)
    seen = statuses(host, 100)
    assert set(seen) == {200, 500}
    assert 15 <= seen[500] <= 45


def test_a_host_refuses_connections(host: Host) -> None:
    """The port stays its own: nobody answers there, until the host does again."""
    assert ask(host)[0] == 200
    host.switch(refuse=True)
    port = int(host.url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    assert len(host.requests()) == 1
    host.switch(refuse=True, for_s=0.2)
    until(lambda: ask(host)[0] == 200, 10)


def test_a_connection_that_is_open_does_not_outlive_the_host(host: Host) -> None:
    """Keep-alive would reach a host that is gone."""
    with socket.create_connection(("127.0.0.1", int(host.url.rpartition(":")[2])), 5) as connection:
        connection.sendall(b"GET /ok/1.jpg HTTP/1.1\r\nHost: h\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        host.switch(refuse=True)
        assert ended(connection)


def test_a_host_hangs_or_resets(host: Host) -> None:
    """Neither answers; one that hangs lets go when it is switched."""
    host.switch(status=0)
    assert ask(host)[0] == 0
    host.switch(hang=True)
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(ask, host, timeout_s=30.0)
        until(lambda: len(host.requests()) == 2, 10)
        assert host.requests()[1]["end"] is None
        host.switch()
        assert hanging.result(10)[0] == 0
    assert [one["status"] for one in host.requests()] == [0, 0]


def test_requests_are_on_record(host: Host) -> None:
    """When, which, how many at once, and how each ended."""
    host.switch(latency_s=0.3)
    began = time.time()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: ask(host, f"/ok/{n}.jpg?q=%41"), range(3)))
    ask(host, "/missing")
    seen = host.requests()
    assert sorted(one["path"] for one in seen) == ["/missing", *(f"/ok/{n}.jpg?q=%41" for n in range(3))]
    assert Counter(one["status"] for one in seen) == {200: 3, 404: 1}
    assert max(one["at_once"] for one in seen) > 1
    assert all(began <= one["at"] <= one["end"] <= time.time() for one in seen)
    assert host.requests(until=began) == []


def test_a_reset_closes_the_hosts() -> None:
    """The next test finds none of them."""
    with ImageHost() as images:
        host = images.host("gone")
        ask(host)
        images.control(reset=True)
        assert ask(host)[0] == 0
        assert images.host("gone").requests() == []
