"""Hosts that mean well and do it their own way: redirects, cookies, encodings, lengths, pages instead of images."""

import asyncio
import gzip
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import repeat
from pathlib import Path

import brotli
import pytest
from backports import zstd
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from face_import.clients.download import open_http
from face_import.clients.fetcher import Fetcher
from face_import.clients.transfer import FetchError
from face_import.contract import Reason
from face_import.errors import ConfigError
from face_import.settings import Settings
from tests.doubles.images import make_image
from tests.integration.clients.evil import Evil, evil, head, redirect

Configured = Callable[..., Settings]
Get = Callable[[str, Settings], bytes]
IMAGE = make_image()
JPEG = head(f"Content-Length: {len(IMAGE)}") + IMAGE


def image(url: str, settings: Settings) -> bytes:
    """Fetch as an image is."""

    async def fetch() -> bytes:
        async with Fetcher(settings) as fetcher:
            return await fetcher.fetch(url)

    return asyncio.run(fetch())


def source(url: str, settings: Settings) -> bytes:
    """Fetch as a source is."""
    with open_http(url, settings) as stream:
        return stream.read()


both = pytest.mark.parametrize("get", [image, source])


def failure(answer: Iterable[bytes], settings: Settings) -> FetchError:
    """Return why what a host answers, each time, is not an image."""
    pieces = list(answer)
    with evil(lambda _: pieces) as host, pytest.raises(FetchError) as failed:
        image(host.url(), settings)
    return failed.value


def leading(to: bytes, status: str = "302 Found") -> Callable[[Evil], list[bytes]]:
    """A redirect with these bytes in its Location, and an image behind it."""

    def answer(server: Evil) -> list[bytes]:
        if len(server.asked) > 1:
            return [JPEG]
        start, end = head("Content-Length: 0", "Location: ?", status=status).split(b"?")
        return [start + to.replace(b"PORT", str(server.port).encode()) + end]

    return answer


@both
@pytest.mark.parametrize(
    ("to", "path"),
    [
        (b"/a%2fb%2Fc?x=%41%7E&sig=a/b+c==", "/a%2fb%2Fc?x=%41%7E&sig=a/b+c=="),
        (b"http://127.0.0.1:PORT/a%2fb?x=%27%2C%3a'", "/a%2fb?x=%27%2C%3a'"),
        (b"//127.0.0.1:PORT/b.jpg#part", "/b.jpg"),
        (b"b%2f.jpg?c", "/d%2fd/b%2f.jpg?c"),
        (b"../b.jpg", "/b.jpg"),
        (b"./b.jpg", "/d%2fd/b.jpg"),
        (b"?d=%2f", "/d%2fd/first?d=%2f"),
        (b"/M\xfcller.jpg", "/M%FCller.jpg"),
        ("/Müller 1.jpg".encode(), "/M%C3%BCller%201.jpg"),
        (b"  /a|b^{c}.jpg  ", "/a%7Cb%5E%7Bc%7D.jpg"),
        (b"/100%.jpg", "/100%25.jpg"),
    ],
    ids=repr,
)
def test_a_location_is_followed_as_it_stands(get: Get, configured: Configured, to: bytes, path: str) -> None:
    """What may stand in a URL is sent as the host wrote it, anything else is escaped byte for byte."""
    with evil(leading(to)) as host:
        assert get(host.url("/d%2fd/first?q=1"), configured()) == IMAGE
    assert [asked for asked, _ in host.asked] == ["/d%2fd/first?q=1", path]


@both
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_all_redirects_are_followed(get: Get, configured: Configured, status: str) -> None:
    """Each of the five is one."""
    with evil(leading(b"/b", status)) as host:
        assert get(host.url(), configured()) == IMAGE


@both
@pytest.mark.parametrize("allowed", [0, 3])
def test_the_number_of_redirects_is_a_setting(get: Get, configured: Configured, allowed: int) -> None:
    """As many as it says, and not one more."""
    with (
        evil(lambda server: [redirect(f"/{len(server.asked)}")]) as host,
        pytest.raises(FetchError, match=f"more than {allowed} redirects") as failed,
    ):
        get(host.url(), configured(fetch_max_redirects=allowed))
    assert (len(host.asked), failed.value.reason) == (allowed + 1, Reason.REDIRECTS)


def test_cookies_are_kept_for_a_row(configured: Configured) -> None:
    """Along its redirects, by path, host and life span; another row begins without."""
    lines = [
        "Set-Cookie: a={1,2}; Path=/",
        "Set-Cookie: b=2; Path=/b",
        "Set-Cookie: c=3; Path=/elsewhere",
        "Set-Cookie: d=4; Path=/; Max-Age=0",
        "Set-Cookie: e=5; Path=/; Secure",
        "Set-Cookie: f=6; Path=/; Domain=example.com",
        "Set-Cookie: g=7; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "Location: /b/c",
        "Content-Length: 0",
    ]
    with evil(lambda server: [head(*lines, status="302 Found") if len(server.asked) % 2 else JPEG]) as host:
        for _ in range(2):
            assert image(host.url("/"), configured()) == IMAGE
    assert [asked.get("cookie") for _, asked in host.asked] == [None, "a={1,2}; b=2", None, "a={1,2}; b=2"]


def test_cookies_do_not_reach_another_host(configured: Configured) -> None:
    """They belong to the one that has set them."""
    with evil(lambda _: [JPEG], "127.0.0.2") as other:
        to = head("Set-Cookie: a=1; Path=/", f"Location: {other.url()}", "Content-Length: 0", status="302 Found")
        with evil(lambda _: [to]) as first:
            assert image(first.url(), configured()) == IMAGE
    assert "cookie" not in other.asked[0][1]


@both
@pytest.mark.parametrize(
    ("login", "sent"),
    [
        ("张三:密码", "Basic 5byg5LiJOuWvhueggQ=="),
        ("%E5%BC%A0%E4%B8%89:%E5%AF%86%E7%A0%81", "Basic 5byg5LiJOuWvhueggQ=="),
        ("user", "Basic dXNlcjo="),
        ("u%3As:p@ss:word", "Basic dTpzOnBAc3M6d29yZA=="),
    ],
)
def test_credentials_are_sent_in_utf_8(get: Get, configured: Configured, login: str, sent: str) -> None:
    """Escaped or not; along redirects within the host."""
    with evil(leading(b"/b")) as host:
        assert get(host.url(user=f"{login}@"), configured()) == IMAGE
    assert [asked["authorization"] for _, asked in host.asked] == [sent, sent]


SQUEEZED = [
    ("gzip", gzip.compress(IMAGE)),
    ("x-gzip", gzip.compress(IMAGE)),
    ("GZIP, identity", gzip.compress(IMAGE)),
    ("gzip", gzip.compress(gzip.compress(IMAGE))),
    ("gzip", gzip.compress(IMAGE[:100]) + gzip.compress(IMAGE[100:])),
    ("deflate", zlib.compress(IMAGE)),
    ("deflate", zlib.compress(IMAGE, wbits=-15)),
    ("br", brotli.compress(IMAGE)),
    ("zstd", zstd.compress(IMAGE)),
    ("gzip, br", brotli.compress(gzip.compress(IMAGE))),
    ("gzip, gzip", gzip.compress(IMAGE)),
    *((label, IMAGE) for label in ("gzip", "br", "zstd", "deflate", "utf-8", "aws-chunked", "none", "gzip, br")),
    ("aws-chunked,gzip", gzip.compress(IMAGE)),
]


@pytest.mark.parametrize(("label", "body"), SQUEEZED, ids=[label for label, _ in SQUEEZED])
def test_an_encoding_is_undone_where_there_is_one(configured: Configured, label: str, body: bytes) -> None:
    """The bytes say more than the label."""
    answer = head(f"Content-Encoding: {label}", f"Content-Length: {len(body)}") + body
    with evil(lambda _: [answer]) as host:
        assert image(host.url(), configured()) == IMAGE


@pytest.mark.parametrize(
    ("label", "body"),
    [("gzip", b"\x1f\x8bno"), ("br", b"\xfeno"), ("zstd", zstd.compress(b"\0" * 999)[:-5]), ("deflate", b"\xff" * 9)],
)
def test_a_label_that_is_wrong_is_named(configured: Configured, label: str, body: bytes) -> None:
    """What is neither an image nor what the host says is refused with the header's name."""
    error = failure([head(f"Content-Encoding: {label}", f"Content-Length: {len(body)}") + body], configured())
    assert (error.reason, f"Content-Encoding: {label}, but" in str(error)) == (Reason.INVALID_ANSWER, True)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            [
                head("Transfer-Encoding: chunked", f"Content-Length: {len(IMAGE)}"),
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(IMAGE), IMAGE),
            ],
            id="chunked and a length",
        ),
        pytest.param(
            [head("Transfer-Encoding: chunked"), b"%x\r\n" % len(IMAGE), IMAGE, b"\r\n"], id="chunked without an end"
        ),
        pytest.param([head(f"Content-Length: {len(IMAGE) + 100}"), IMAGE], id="a length too long"),
        pytest.param([b"HTTP/1.0 200 OK\r\n\r\n", IMAGE], id="HTTP/1.0 without a length"),
        pytest.param([JPEG.replace(b"\r\nC", b"\nC").replace(b"\r\n\r\n", b"\n\n", 1)], id="lines ended by LF"),
        pytest.param([head("Content-Type: text/html", f"Content-Length: {len(IMAGE)}"), IMAGE], id="text/html"),
        pytest.param([head("Content-Type: multipart/mixed; boundary=x"), IMAGE], id="multipart"),
        pytest.param([head("X-Policy: " + "x" * 60_000, f"Content-Length: {len(IMAGE)}"), IMAGE], id="60 kB header"),
        pytest.param(
            [head(f"Content-Length: {len(IMAGE)}", status="206 Partial Content"), IMAGE], id="partial, and all of it"
        ),
    ],
)
def test_an_image_counts_however_it_comes(configured: Configured, answer: list[bytes]) -> None:
    """If it is whole by its own format."""
    with evil(lambda _: answer) as host:
        assert image(host.url(), configured()) == IMAGE


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ([head("Content-Length: 0", status="204 No Content")], Reason.EMPTY, "204 No Content: no image in it"),
        ([head("Content-Length: 0")], Reason.EMPTY, "200 OK: no image in it"),
        ([head("Content-Length: 0", status="202 Accepted")], Reason.UNAVAILABLE, "202 Accepted: no image so far"),
        ([head("Content-Length: 0", status="410 Gone")], Reason.NOT_FOUND, "410 Gone"),
        ([head("Content-Length: 0", status="401 No")], Reason.FORBIDDEN, "401 No: behind a login"),
        ([head("Content-Length: 0", "Location: /", status="300 Some")], Reason.REFUSED, "300 Some"),
        ([head("Content-Length: 0", status="302 Found")], Reason.REDIRECTS, "302 without a Location"),
        ([head("Content-Length: 0", status="500 Oh")], Reason.UNAVAILABLE, "500 Oh"),
        ([head("X: " + "x" * 70_000)], Reason.INVALID_ANSWER, "a header of more than 65536 bytes"),
        ([head("Content-Length: 99"), IMAGE[:50]], Reason.UNAVAILABLE, "the answer broke off"),
        ([head("Content-Encoding: " + ", ".join(["gzip"] * 4)), b"x"], Reason.INVALID_ANSWER, "more than 3 encodings"),
    ],
    ids=lambda value: value[:25] if isinstance(value, str) else "",
)
def test_a_failure_has_its_reason(configured: Configured, answer: list[bytes], reason: Reason, words: str) -> None:
    """A word for programs, and others for people."""
    error = failure(answer, configured())
    assert (error.reason, words in str(error)) == (reason, True), error


def test_a_cameras_stream_is_refused_at_once(configured: Configured) -> None:
    """It never ends, so waiting for its end is of no use."""

    def frames(_: Evil) -> Iterator[bytes]:
        yield head("Content-Type: multipart/x-mixed-replace; boundary=frame")
        yield from repeat(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + IMAGE + b"\r\n")

    with evil(frames) as host, pytest.raises(FetchError, match="a video stream") as failed:
        image(host.url(), configured())
    assert (failed.value.reason, len(host.asked)) == (Reason.NOT_AN_IMAGE, 1)


def test_the_deadline_says_how_much_came(configured: Configured) -> None:
    """Of how much, if the host has said that."""

    def slow(_: Evil) -> Iterator[bytes]:
        yield head("Content-Length: 5000000") + b"\xff\xd8" + bytes(1_199_998)
        threading.Event().wait(1)

    with evil(slow) as host, pytest.raises(FetchError) as failed:
        image(host.url(), configured(fetch_timeout_s=0.5))
    assert str(failed.value) == "timed out after 0.5 s: 1.2 MB of 5.0 MB came"
    assert failed.value.reason is Reason.TIMEOUT


@both
def test_headers_go_to_the_hosts_they_are_for(get: Get, configured: Configured, tmp_path: Path) -> None:
    """A redirect to another host takes none of them along; a URL's own login comes first."""
    with evil(lambda _: [JPEG], "127.0.0.2") as other, evil(lambda _: [redirect(other.url())]) as first:
        file = tmp_path / "headers.yaml"
        file.write_text(
            f"{first.url('')}: {{User-Agent: 'us (mail@example.com)', Referer: 'http://x/', Authorization: Bearer t}}\n"
            f"http://*:{other.port}: {{X-Other: '1'}}\n"
        )
        file.chmod(0o600)
        settings = configured(fetch_headers_file=file)
        assert get(first.url(), settings) == get(first.url(user="a:b@"), settings) == IMAGE
    wanted = {"user-agent": "us (mail@example.com)", "referer": "http://x/", "authorization": "Bearer t"}
    assert wanted.items() <= first.asked[0][1].items()
    assert first.asked[1][1]["authorization"] == "Basic YTpi"
    assert other.asked[0][1]["x-other"] == "1"
    assert other.asked[0][1]["user-agent"] == "face-import"
    assert not {"referer", "authorization"} & other.asked[0][1].keys()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A private CA's certificate, and a server's context with one of 127.0.0.1 by it."""
    folder = tmp_path_factory.mktemp("ca")
    now = datetime.now(UTC)

    def certificate(name: str, issuer: str, of: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer)]
        builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(of.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        return builder.not_valid_after(now + timedelta(days=1))

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("root", "root", root_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    leaf = certificate("host", "root", key).add_extension(alternative, critical=False)
    ca, server = folder / "ca.pem", folder / "server.pem"
    ca.write_bytes(root.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server.write_bytes(leaf.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    return ca, context


@both
def test_a_private_authority_is_a_setting(
    get: Get, configured: Configured, authority: tuple[Path, ssl.SSLContext]
) -> None:
    """Without it the message names the setting; with it the host is known."""
    ca, context = authority
    with evil(lambda _: [JPEG], tls=context) as host:
        with pytest.raises(FetchError, match="FACE_IMPORT_CA_FILE") as failed:
            get(host.url(), configured())
        assert failed.value.reason is Reason.TLS
        assert get(host.url(), configured(ca_file=ca)) == IMAGE


@both
def test_a_file_of_authorities_that_is_none_is_said(get: Get, configured: Configured, tmp_path: Path) -> None:
    """Before anything is fetched."""
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigError, match="FACE_IMPORT_CA_FILE: cannot read"):
            get("http://127.0.0.1:1/", configured(ca_file=tmp_path / name))


@both
def test_a_proxy_gets_the_url_as_it_stands(get: Get, configured: Configured) -> None:
    """It resolves names that are unknown here, and may itself have an address that rows may not name."""
    with evil(lambda _: [JPEG]) as proxy:
        settings = configured(fetch_allow=(), fetch_proxy=proxy.url("", user="us:word@"))
        assert get("http://images.invalid/a%2fb.jpg?x=%41", settings) == IMAGE
    path, headers = proxy.asked[0]
    assert (path, headers["host"]) == ("http://images.invalid/a%2fb.jpg?x=%41", "images.invalid")
    assert headers["proxy-authorization"] == "Basic dXM6d29yZA=="


@both
@pytest.mark.parametrize("host", ["10.0.0.1", "127.1", "localhost", "[::1]", "2130706433"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_not_asked_for_what_is_inside(get: Get, configured: Configured, host: str, scheme: str) -> None:
    """An address that is not public is refused here, as far as the name is known here."""
    with evil(lambda _: [JPEG]) as proxy, pytest.raises(FetchError, match="is not public") as failed:
        get(f"{scheme}://{host}/a.jpg", configured(fetch_allow=(), fetch_proxy=proxy.url("")))
    assert (proxy.asked, failed.value.reason) == ([], Reason.REFUSED_ADDRESS)


@both
def test_a_proxy_that_fails_is_named(get: Get, configured: Configured) -> None:
    """It is the operator's, not the row's fault."""
    with pytest.raises(FetchError, match="cannot connect to the proxy"):
        get("http://images.invalid/a.jpg", configured(fetch_proxy="http://127.0.0.1:1"))
    with evil(lambda _: [JPEG]) as proxy, pytest.raises(FetchError, match="proxy"):  # no CONNECT there
        get("https://images.invalid/a.jpg", configured(fetch_proxy=proxy.url("")))
