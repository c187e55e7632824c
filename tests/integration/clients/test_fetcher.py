"""Fetching images from a real host on loopback."""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from face_import.clients.fetcher import Fetcher
from face_import.clients.transfer import FetchError, TransientFetchError
from face_import.domain.uri import to_data_uri
from face_import.domain.uri_form import UriFlaw
from face_import.settings import Settings
from tests.doubles.images import make_image
from tests.doubles.process import ImageHost

Configured = Callable[..., Settings]


async def reason(fetcher: Fetcher, uri: str) -> str:
    """Return why a URI cannot be fetched."""
    with pytest.raises(FetchError) as failed:
        await fetcher.fetch(uri)
    return str(failed.value)


@pytest.mark.parametrize("path", ["/ok/7.jpg", "/redirect/20", "/slow?s=0.05"])
async def test_pictures_arrive(fetcher: Fetcher, host: ImageHost, path: str) -> None:
    """Redirects up to the bound and slowness do not keep a picture away."""
    host.control(reset=True)
    assert (await fetcher.fetch(host.url + path)).startswith(b"\xff\xd8")


async def test_data_uris_are_decoded(fetcher: Fetcher) -> None:
    """A data URI's bytes come out as they went in."""
    assert await fetcher.fetch(to_data_uri(b"bytes")) == b"bytes"


@pytest.mark.parametrize(
    ("path", "expected", "trouble"),
    [
        ("/missing", "404 Not Found", None),
        ("/status/403", "403 Forbidden", None),
        ("/status/500", "500 Internal Server Error", "row"),
        ("/status/202", "202 Accepted: no image so far", "row"),
        ("/status/408", "408 Request Timeout", "host"),
        ("/status/502", "502 Bad Gateway", "host"),
        ("/status/503", "503 Service Unavailable", "host"),
        ("/status/504", "504 Gateway Timeout", "host"),
        ("/status/429?retry_after=3600", "429 Too Many Requests", "overloaded host"),
        ("/flaky/9/a?code=0", "the connection broke off", "host"),
        ("/cut", "the answer broke off", "row"),
        ("/redirect/21", "more than 20 redirects", None),
        ("/redirect?to=file:///etc/passwd", "redirected to something that is not an http or https URL", None),
        ("/redirect?to=http://10.0.0.1/", "address 10.0.0.1 is not public (FACE_IMPORT_FETCH_ALLOW)", None),
        ("/redirect?to=http://[::1]:1/", "address ::1 is not public (FACE_IMPORT_FETCH_ALLOW)", None),
        ("/huge", "larger than 1000000 bytes", None),
        ("/huge?length=0", "larger than 1000000 bytes", None),
    ],
)
async def test_failures_say_why(
    host: ImageHost, configured: Configured, path: str, expected: str, trouble: str | None
) -> None:
    """The text says what was wrong, the error whether another attempt may help and other rows would fail, too."""
    host.control(reset=True)
    async with Fetcher(configured(max_image_bytes=1_000_000)) as fetcher:
        with pytest.raises(FetchError) as failed:
            await fetcher.fetch(host.url + path)
    error = failed.value
    assert str(error) == expected
    assert isinstance(error, TransientFetchError) == (trouble is not None)
    if isinstance(error, TransientFetchError):
        assert (error.of_host, error.overloaded) == ("host" in str(trouble), "overloaded" in str(trouble))
        assert error.origin == host.url
        assert error.retry_after == (3600 if error.overloaded else None)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("", UriFlaw.NO_URI),
        ("picture.jpg", UriFlaw.LOCAL),
        ("ftp://example.com/a.jpg", UriFlaw.FTP),
        ("file:///etc/passwd", UriFlaw.LOCAL),
        ("gopher://example.com/a.jpg", "unsupported scheme: use http, https or data"),
        ("http://host.example/a.jpg, http://host.example/b.jpg", UriFlaw.SEVERAL),
        ("http://", "not a valid URL"),
        ("http://[::1/a", "not a valid URL"),
        ("http://host:99999/a", "not a valid URL"),
        (f"http://{'a' * 70}.example/", "not a valid URL"),
        ("http://host.example/" + "a" * 2**16, "a URL of 65556 characters, more than 8192"),
        ("http://no-such-host.invalid/a", "no address for host no-such-host.invalid"),
        ("data:image/png;base64,####", "not base64: character '#' at position 1 after the comma"),
        (
            "data:image/png;base64",
            "not a data URI: no comma after the media type (in a CSV file, a data URI must be quoted)",
        ),
    ],
)
async def test_uris_that_cannot_be_fetched(fetcher: Fetcher, uri: str, expected: str) -> None:
    """What is not a fetchable URI is refused in words that help."""
    assert await reason(fetcher, uri) == expected


@pytest.mark.parametrize(
    "host_part",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",  # noqa: S104 - refused, not bound
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "10.0.0.1",
        "100.64.0.1",
        "user@127.0.0.1",
        "example.com@127.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
    ],
)
async def test_nothing_but_public_addresses_is_reached(host: ImageHost, configured: Configured, host_part: str) -> None:
    """However an address is written, a server on it sees no request unless its network is allowed."""
    host.control(reset=True)
    port = host.url.rpartition(":")[2]
    async with Fetcher(configured(fetch_allow=())) as fetcher:
        why = await reason(fetcher, f"http://{host_part}:{port}/ok/1.jpg")
    assert "is not public" in why or why == "not a valid URL" or why.startswith("no address for host")
    assert host.record()["fetches"] == 0


async def test_tls_is_behind_the_same_rule(host: ImageHost, configured: Configured, fetcher: Fetcher) -> None:
    """An https URL is refused before the handshake; where it may go, a failed handshake is told."""
    url = host.url.replace("http:", "https:") + "/ok/1.jpg"
    assert (await reason(fetcher, url)).startswith("TLS with 127.0.0.1 failed: ")
    async with Fetcher(configured(fetch_allow=())) as strict:
        assert "is not public" in await reason(strict, url)


async def test_a_host_that_never_ends_runs_into_the_deadline(host: ImageHost, configured: Configured) -> None:
    """The deadline covers the whole fetch: a byte now and then does not push it out."""
    async with Fetcher(configured(fetch_timeout_s=0.3)) as fetcher:
        assert re.fullmatch(r"timed out after 0\.3 s: \d+ bytes came", await reason(fetcher, f"{host.url}/drip?s=5"))
        assert await reason(fetcher, f"{host.url}/slow?s=5") == "no answer within 0.3 s"


async def test_no_connection_is_told_with_host_and_port(configured: Configured, unused_tcp_port: int) -> None:
    """A port nobody listens on is named."""
    async with Fetcher(configured()) as fetcher:
        why = await reason(fetcher, f"http://127.0.0.1:{unused_tcp_port}/a.jpg")
    assert why.startswith(f"cannot connect to 127.0.0.1:{unused_tcp_port}: Connection refused")


async def test_bytes_in_flight_are_bounded_and_given_back(host: ImageHost, configured: Configured) -> None:
    """Bodies of unknown length wait for room at their largest size; waiting costs none of their deadline."""
    settings = configured(max_image_bytes=1_000_000, max_bytes_in_flight=1_000_000, fetch_timeout_s=0.5)
    most, done = 0, 0

    async with Fetcher(settings) as fetcher:

        async def row(n: int) -> None:
            nonlocal most, done
            async with fetcher.fetched(f"{host.url}/huge?bytes=600000&length=0&n={n}") as data:
                most = max(most, fetcher._budget.held)
                assert len(data) == 600_000
                await asyncio.sleep(0.12)  # longer, for all rows together, than the deadline
                done += 1

        await asyncio.gather(*(row(n) for n in range(6)))
        assert (done, fetcher._budget.held) == (6, 0)
    assert most <= 1_000_000


async def test_a_cancelled_fetch_gives_its_room_back(host: ImageHost, fetcher: Fetcher) -> None:
    """Rows cut off in the middle of a body leave nothing reserved."""
    tasks = [asyncio.create_task(fetcher.fetch(f"{host.url}/drip?s=5&n={n}")) for n in range(5)]
    async with asyncio.timeout(5):
        while fetcher._budget.held == 0:  # noqa: ASYNC110 - the fetcher has no event for this
            await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert fetcher._budget.held == 0


async def test_no_cookie_and_no_proxy_is_used(
    host: ImageHost, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows share nothing: no cookie of one goes with another, and the environment's proxy is not asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await fetcher.fetch(f"{host.url}/cookie")
    headers = await fetcher.fetch(f"{host.url}/echo")
    assert b"ookie" not in headers


async def test_signed_urls_are_sent_as_they_stand(host: ImageHost, fetcher: Fetcher) -> None:
    """Escapes that another library would rewrite reach the host unchanged; illegal characters are quoted."""
    host.control(reset=True)
    await reason(fetcher, f"{host.url}/a%2Fb?X-Sig=%41%2f%2B~")
    await reason(fetcher, f"{host.url}/ä b")
    paths = host.record(paths=1)["paths"]
    assert set(paths) == {"/a%2Fb?X-Sig=%41%2f%2B~", f"/{quote('ä b')}"}


def test_the_double_makes_pictures_of_their_own() -> None:
    """Two specs never give the same bytes: what the doubles count by hash is right."""
    assert make_image({"n": 1}) != make_image({"n": 2})


async def test_a_slow_host_does_not_hold_up_the_others(host: ImageHost, configured: Configured) -> None:
    """Fetches from a host that does not answer wait for its own connections; another host's go on meanwhile."""
    host.control(reset=True)
    with ImageHost() as other:
        async with Fetcher(configured(fetch_per_host=2, fetch_timeout_s=30)) as fetcher:
            stuck = [asyncio.create_task(fetcher.fetch(f"{host.url}/slow?s=60&n={n}")) for n in range(6)]
            async with asyncio.timeout(30):
                while await asyncio.to_thread(lambda: host.record()["in_flight"]) < 2:
                    pass
                for n in range(20):
                    assert await fetcher.fetch(f"{other.url}/ok/{n}.jpg")
            assert not any(task.done() for task in stuck)
            assert (await asyncio.to_thread(host.record))["max_in_flight"] == 2
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)


@pytest.mark.parametrize("mark", ["etag", "date"])
async def test_a_known_picture_is_not_sent_again(fetcher: Fetcher, host: ImageHost, mark: str) -> None:
    """The validator of an answer asks for another picture only; without one the host sends what it has."""
    uri = f"{host.url}/named/a?mark={mark}"
    host.control(reset=True, pictures={"a": {"n": 1}})
    async with fetcher.fetched_if_changed(uri, "") as first:
        assert (first.data, first.unchanged) == (make_image({"n": 1}), False)
    async with fetcher.fetched_if_changed(uri, first.validator) as again:
        assert (again.data, again.validator, again.unchanged) == (b"", first.validator, True)
    host.control(pictures={"a": {"n": 2}})
    async with fetcher.fetched_if_changed(uri, first.validator) as later:
        assert (later.data, later.unchanged) == (make_image({"n": 2}), False)
        assert later.validator != first.validator


async def test_a_validator_says_nothing_behind_a_redirect(fetcher: Fetcher, host: ImageHost) -> None:
    """A URI may lead somewhere else tomorrow: what is behind it is fetched, and its validator not kept."""
    host.control(reset=True, pictures={"a": {"n": 1}})
    target = f"{host.url}/named/a?mark=etag"
    async with fetcher.fetched_if_changed(target, "") as direct:
        pass
    for validator in ("", direct.validator):
        async with fetcher.fetched_if_changed(f"{host.url}/redirect?to={quote(target)}", validator) as led:
            assert (led.data, led.validator, led.unchanged) == (make_image({"n": 1}), "", False)


async def test_a_304_that_nobody_asked_for_is_an_error(fetcher: Fetcher, host: ImageHost) -> None:
    """There is no picture then."""
    assert await reason(fetcher, f"{host.url}/status/304") == "304 Not Modified"
    with pytest.raises(FetchError, match="304"):
        async with fetcher.fetched_if_changed(f"{host.url}/status/304", ""):
            pass
