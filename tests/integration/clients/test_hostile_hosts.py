"""Hosts that attack whoever fetches from them, or through whom a stranger attacks; images and sources alike."""

import asyncio
import gzip
import logging
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import repeat

import brotli
import pytest
from backports import zstd

from face_import.clients.download import open_http
from face_import.clients.fetcher import Fetcher
from face_import.clients.transfer import FetchError
from face_import.contract import Reason
from face_import.settings import Settings
from tests.integration.clients.evil import Evil, evil, head, redirect

Configured = Callable[..., Settings]
Get = Callable[[str, Settings], bytes]
SECRETS = ("s3cret-user", "s3cret-word", "s3cret-sig", "s3cret-part")


def image(url: str, settings: Settings) -> bytes:
    """Fetch as an image is."""

    async def fetch() -> bytes:
        async with Fetcher(settings) as fetcher:
            return await fetcher.fetch(url)

    return asyncio.run(fetch())


def source(url: str, settings: Settings) -> bytes:
    """Fetch as a source is, up to the bound on images."""
    with open_http(url, settings) as stream:
        read = b""
        while piece := stream.read(1 << 16):
            read += piece
            if len(read) > settings.max_image_bytes:
                raise FetchError("larger than", Reason.TOO_LARGE)
        return read


both = pytest.mark.parametrize("get", [image, source])


def resolving(monkeypatch: pytest.MonkeyPatch, name: str, *answers: list[str]) -> list[str]:
    """Let a name resolve to other addresses each time (the last ones for ever); returns what was asked."""
    real, left, asked = socket.getaddrinfo, list(answers), []

    def getaddrinfo(host: object, port: object, *args: object, **kwargs: object) -> object:
        if host != name:
            return real(host, port, *args, **kwargs)  # type: ignore[arg-type]
        asked.append(name)
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@both
def test_a_name_that_is_rebound_reaches_nothing(
    get: Get, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is checked that is connected to, not one that the name had a moment ago."""
    settings = configured(fetch_allow=("127.0.0.1/32",))  # stands for the public addresses
    with evil(lambda _: [head(), b"picture"], "127.0.0.2") as inner, evil(lambda _: [head(), b"picture"]) as outer:
        asked = resolving(monkeypatch, "rebound.example", ["127.0.0.1"], ["127.0.0.2"])
        assert get(outer.url(host="rebound.example"), settings) == b"picture"
        with pytest.raises(FetchError, match=r"address 127\.0\.0\.2 is not public"):
            get(inner.url(host="rebound.example"), settings)
    assert (len(asked), inner.asked) == (2, [])


@both
def test_a_redirect_to_a_rebound_name_reaches_nothing(
    get: Get, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that redirects to its own name on another port, which leads inside by then, gets no further."""
    settings = configured(fetch_allow=("127.0.0.1/32",))
    with evil(lambda _: [head(), b"secret"], "127.0.0.2") as inner:
        to = inner.url(host="rebound.example")
        with evil(lambda _: [redirect(to)]) as outer:
            resolving(monkeypatch, "rebound.example", ["127.0.0.1"], ["127.0.0.2"])
            with pytest.raises(FetchError, match=r"is not public|cannot connect"):
                get(outer.url(host="rebound.example"), settings)
    assert (len(outer.asked), inner.asked) == (1, [])


@both
def test_of_a_mixed_answer_only_the_public_address_is_used(
    get: Get, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with a private address beside a public one does not lead to the private one."""
    settings = configured(fetch_allow=("127.0.0.1/32",))
    with evil(lambda _: [head(), b"picture"]) as outer:
        resolving(monkeypatch, "mixed.example", ["10.0.0.1", "127.0.0.2", "127.0.0.1"])
        assert get(outer.url(host="mixed.example"), settings) == b"picture"


INSIDE = [
    "http://127.0.0.2:{port}/",
    "http://2130706434:{port}/",
    "http://0x7f.0.0.2:{port}/",
    "http://0177.0.0.2:{port}/",
    "http://127.2:{port}/",
    "http://[::ffff:127.0.0.2]:{port}/",
    "http://user:word@127.0.0.2:{port}/",
    "//127.0.0.2:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://100.100.100.200/",
    "http://0.0.0.0:{port}/",
    "http://localhost:{port}/",
    "https://127.0.0.2:{port}/",
    "file:///etc/passwd",
    "ftp://127.0.0.2:{port}/",
    "gopher://127.0.0.2:{port}/_GET",
    "data:image/png;base64,AAAA",
    "unix:///run/docker.sock",
    "http://127.0.0.2:{port}\\@127.0.0.1/",
]


@both
@pytest.mark.parametrize("to", INSIDE)
def test_no_redirect_leads_inside(get: Get, configured: Configured, to: str) -> None:
    """However the target is written, the server on it is not asked."""
    settings = configured(fetch_allow=("127.0.0.1/32",), fetch_connect_timeout_s=1)
    with (
        evil(lambda _: [head(), b"secret"], "127.0.0.2") as inner,
        evil(lambda _: [redirect(to.format(port=inner.port))]) as outer,
        pytest.raises(FetchError),
    ):
        get(outer.url(), settings)
    assert inner.asked == []


@both
def test_credentials_stay_with_the_host_they_were_meant_for(get: Get, configured: Configured) -> None:
    """A redirect to another host, or to another port, takes neither user nor password along."""
    with evil(lambda _: [head(), b"picture"], "127.0.0.2") as other:
        with evil(lambda _: [redirect(other.url())]) as first:
            assert get(first.url(user="s3cret-user:s3cret-word@"), configured()) == b"picture"
        assert "authorization" in first.asked[0][1]
        assert not {"authorization", "cookie", "referer"} & set(other.asked[0][1])


@both
def test_the_last_redirect_is_not_followed(get: Get, configured: Configured) -> None:
    """A loop ends."""
    with (
        evil(lambda server: [redirect(server.url(f"/{len(server.asked)}"))]) as loop,
        pytest.raises(FetchError, match="more than 20 redirects"),
    ):
        get(loop.url(), configured())
    assert len(loop.asked) == 21


def endless(*lines: str) -> Callable[[Evil], Iterator[bytes]]:
    """A body that never ends."""

    def answer(_: Evil) -> Iterator[bytes]:
        yield head(*lines)
        yield from repeat(b"x" * 65536)

    return answer


def dripping(start: bytes) -> Callable[[Evil], Iterator[bytes]]:
    """Something that comes a byte at a time and never is there."""

    def answer(_: Evil) -> Iterator[bytes]:
        yield start
        for _n in range(400):
            threading.Event().wait(0.05)
            yield b"x"

    return answer


def bomb(encoding: str, squeeze: Callable[[bytes], bytes], times: int = 1) -> Callable[[Evil], Iterable[bytes]]:
    """A body of kilobytes that is a gigabyte when it is unpacked."""

    def answer(_: Evil) -> Iterable[bytes]:
        data = bytes(2**26)
        for _n in range(times):
            data = squeeze(data)
        return [head(f"Content-Encoding: {encoding}", f"Content-Length: {len(data)}"), data]

    return answer


@both
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(endless(), id="endless"),
        pytest.param(bomb("gzip", gzip.compress), id="gzip"),
        pytest.param(bomb("deflate", zlib.compress), id="deflate"),
        pytest.param(bomb("gzip, gzip", gzip.compress, 2), id="gzip twice"),
        pytest.param(bomb("br", lambda data: brotli.compress(data, quality=1)), id="brotli"),
        pytest.param(bomb("zstd", zstd.compress), id="zstd"),
        pytest.param(bomb("gzip, zstd", lambda data: zstd.compress(gzip.compress(data))), id="zstd around gzip"),
    ],
)
def test_a_body_is_bounded_as_it_comes_and_as_it_unpacks(
    get: Get, configured: Configured, answer: Callable[[Evil], Iterable[bytes]]
) -> None:
    """Whoever sends without end, or a bomb, is cut off at the bound."""
    first = answer(Evil(""))
    with evil(lambda server: first if isinstance(first, list) else answer(server)) as host:
        tracemalloc.start()
        try:
            with suppress(FetchError):  # packed twice it comes as it is, which is no picture
                assert len(get(host.url(), configured(max_image_bytes=1_000_000))) <= 1_000_000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2**25


dripped = pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Slow: ", id="headers"),
        pytest.param(head("Content-Length: 1000000"), id="body"),
        pytest.param(head("Transfer-Encoding: chunked") + b"fffff\r\n", id="chunk"),
        pytest.param(head("Connection: close"), id="body without a length"),
    ],
)


@dripped
def test_a_slow_drip_ends_with_the_deadline(configured: Configured, start: bytes) -> None:
    """A byte now and then keeps no row beyond its deadline, wherever it drips."""
    with evil(dripping(start)) as host:
        began = time.monotonic()
        with pytest.raises(FetchError):
            image(host.url(), configured(fetch_timeout_s=0.5))
        assert time.monotonic() - began < 5


@dripped
def test_a_slow_source_ends_with_its_deadline(configured: Configured, start: bytes) -> None:
    """A byte now and then is never too long a wait, but the source as a whole is; its part is no whole."""
    with evil(dripping(start)) as host:
        began = time.monotonic()
        with pytest.raises(FetchError, match=r"not read to its end within 0\.5 s"):
            source(host.url(), configured(source_timeout_s=0.5))
        assert 0.4 < time.monotonic() - began < 5


def test_the_deadline_follows_redirects(configured: Configured) -> None:
    """The time is that of the whole, whichever host is slow."""
    with (
        evil(dripping(b"")) as slow,
        evil(lambda _: [redirect(slow.url())]) as first,
        pytest.raises(FetchError, match=r"not read to its end within 0\.5 s"),
    ):
        source(first.url(), configured(source_timeout_s=0.5))


@both
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"HTTP/1.1 200 OK\r\n", *(b"X-%d: x\r\n" % n for n in range(100_000))], id="headers without end"),
        pytest.param([b"HTTP/1.1 200 OK\r\nX: ", b"x" * 10_000_000], id="a header of 10 MB"),
        pytest.param([b"HTTP/1.1 999 \r\n\r\n"], id="a status that is none"),
        pytest.param([b"\x16\x03\x01\x00\x00" * 10], id="not HTTP"),
        pytest.param([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], id="a chunk that is none"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"], id="not gzip"),
        pytest.param(
            [b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n"], id="redirect to no URL"
        ),
        pytest.param(
            [b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n"], id="redirect to no text"
        ),
        pytest.param([b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"], id="redirect to nowhere"),
    ],
)
def test_what_is_no_proper_answer_is_one_error(get: Get, configured: Configured, lines: list[bytes]) -> None:
    """Nothing else is raised, and soon."""
    with evil(lambda _: lines) as host, pytest.raises(FetchError):
        get(host.url(), configured(fetch_timeout_s=5))


@both
@pytest.mark.parametrize("length", [b"-5", b"9" * 5000, b"5, 6", b"five"])
def test_a_length_that_is_none_does_no_harm(get: Get, configured: Configured, length: bytes) -> None:
    """The body is what comes until the end, or an error."""
    with (
        evil(lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: ", length, b"\r\n\r\nhello"]) as host,
        suppress(FetchError),
    ):
        assert get(host.url(), configured(fetch_timeout_s=5)) in {b"hello", b""}


@both
@pytest.mark.parametrize(
    "url",
    [
        "http://s3cret-user:s3cret-word@127.0.0.1:{port}/a.jpg?sig=s3cret-sig#s3cret-part",
        "http://s3cret-user:s3cret-word@10.0.0.1/a.jpg?sig=s3cret-sig",
        "http://s3cret-user:s3cret-word@no-such-host.invalid/a.jpg?sig=s3cret-sig",
        "http://s3cret-user:s3cret-word@127.0.0.1:1/a.jpg?sig=s3cret-sig",
        "http://s3cret-user:s3cret-word@[::1/a.jpg?sig=s3cret-sig",
        "https://s3cret-user:s3cret-word@127.0.0.1:{port}/a.jpg?sig=s3cret-sig",
        "ftp://s3cret-user:s3cret-word@host/a.jpg?sig=s3cret-sig",
        "http:s3cret-user:s3cret-word@host/?sig=s3cret-sig",
    ],
)
@pytest.mark.parametrize("status", ["404 Not Found", "302 Found"])
def test_secrets_of_a_url_are_in_no_error_and_no_log(
    get: Get, configured: Configured, caplog: pytest.LogCaptureFixture, url: str, status: str
) -> None:
    """Neither user, password, query nor fragment is in what a row's message or a process log says."""
    caplog.set_level(logging.DEBUG)
    to = "Location: ftp://s3cret-user:s3cret-word@host/?sig=s3cret-sig"
    with (
        evil(lambda _: [head(to, "Content-Length: 0", status=status)]) as host,
        pytest.raises(FetchError) as failed,
    ):
        get(url.format(port=host.port), configured())
    told = str(failed.value) + "".join(r.getMessage() for r in caplog.records if r.levelno >= logging.INFO)
    assert not [secret for secret in SECRETS if secret in told]


@pytest.mark.parametrize(
    "value",
    [
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Fri, 31 Dec 9999 23:59:59 +2359",
        "Mon, 1 Jan 0001 00:00:00 +2359",
        "Mon, 1 Jan 2024 00:00:00 +99999999999999999999",
        "Mon, 1 Jan 2024 00:00:00 +9999",
        "Mon, 99 Jan 99999999999 00:00:00 GMT",
        ", , ,",
        "-1",
        "1e308",
        "\u0661",
        "9" * 5000,
    ],
    ids=lambda value: value[:30],
)
def test_no_time_that_a_host_names_is_more_than_its_own_trouble(configured: Configured, value: str) -> None:
    """A date that cannot be reckoned with is none; the row's error is the host's status."""
    answer = head(f"Retry-After: {value}", "Content-Length: 0", status="503 Service Unavailable")
    with evil(lambda _: [answer]) as host, pytest.raises(FetchError, match=r"503 Service Unavailable|not a valid HTTP"):
        image(host.url(), configured(fetch_timeout_s=1))
