"""Streaming a source from a real host on loopback."""

import csv
import io
import threading
from base64 import b64decode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import BinaryIO

import pytest

from face_import.clients.download import open_http
from face_import.clients.transfer import FetchError
from face_import.settings import Settings
from tests.doubles.process import ImageHost

Configured = Callable[..., Settings]


@pytest.mark.parametrize("prefix", ["/csv?rows=3000", "/redirect?to=/csv?rows=3000"])
def test_a_source_is_streamed(host: ImageHost, configured: Configured, prefix: str) -> None:
    """A source is read like a file, also behind a redirect."""
    with open_http(host.url + prefix, configured()) as stream:
        rows = list(csv.reader(io.TextIOWrapper(stream, "utf-8")))
    assert len(rows) == 3000
    assert rows[-1] == [f"{host.url}/ok/3000.jpg", "tag3000", ""]


@pytest.mark.parametrize(
    ("userinfo", "login"),
    [("us%40er:p%40ss%2Fw", "us@er:p@ss/w"), ("user", "user:"), ("müller:ß", "müller:ß"), ("a:b%3Ac:d", "a:b:c:d")],
)
def test_a_url_has_its_login_encoded_and_the_host_gets_it_plain(
    configured: Configured, userinfo: str, login: str
) -> None:
    """As for images: `@` in a password can only be written as %40."""
    seen: list[str] = []

    class Host(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Host) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with open_http(f"http://{userinfo}@127.0.0.1:{server.server_port}/", configured()) as stream:
            assert stream.read() == b""
        thread.join()
    assert [b64decode(header.removeprefix("Basic ")).decode() for header in seen] == [login]


def test_reading_on_at_the_end_is_harmless(host: ImageHost, configured: Configured) -> None:
    """The end of the body reads as an empty string, as often as one asks."""
    with open_http(f"{host.url}/huge?bytes=100000", configured()) as stream:
        assert len(stream.read(60_000)) == 60_000
        assert len(stream.read(60_000)) == 40_000
        assert stream.read(10) == stream.read() == b""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/missing", "404 Not Found"),
        ("/status/403", "403 Forbidden"),
        ("/redirect/21", "more than 20 redirects"),
        ("/redirect?to=http://10.0.0.1/a.csv", "address 10.0.0.1 is not public (FACE_IMPORT_FETCH_ALLOW)"),
        ("/redirect?to=http://[::1]:1/a.csv", "address ::1 is not public (FACE_IMPORT_FETCH_ALLOW)"),
        ("/redirect?to=ftp://127.0.0.1/a.csv", "redirected to something that is not an http or https URL"),
        ("/slow?s=5", "no answer within 0.3 s"),
        ("/cut", "the connection broke off"),
    ],
)
def test_failures_say_why(
    host: ImageHost,
    configured: Configured,
    path: str,
    expected: str,
) -> None:
    """What keeps a source away is told, whether it shows at the opening or in the middle."""

    def read(stream: BinaryIO) -> None:
        while stream.read(1 << 16):
            pass

    settings = configured(fetch_timeout_s=0.3)
    with pytest.raises(FetchError) as failed, open_http(host.url + path, settings) as stream:
        read(stream)
    assert str(failed.value) == expected


@pytest.mark.parametrize(
    "host_part",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_nothing_but_public_addresses_is_reached(host: ImageHost, configured: Configured, host_part: str) -> None:
    """The rule for images is the rule for sources."""
    host.control(reset=True)
    port = host.url.rpartition(":")[2]
    with (
        pytest.raises(FetchError, match=r"is not public|no address|not a valid"),
        open_http(f"http://{host_part}:{port}/csv", configured(fetch_allow=())),
    ):
        pass
    assert host.record()["fetches"] == 0


@pytest.mark.parametrize("url", ["ftp://example.com/a.csv", "http://", "http://no-such-host.invalid/a.csv", "x"])
def test_urls_that_cannot_be_opened(configured: Configured, url: str) -> None:
    """What is no http(s) URL of an existing host is refused, in words that help."""
    with pytest.raises(FetchError, match=r"not a valid|no address"), open_http(url, configured()):
        pass
