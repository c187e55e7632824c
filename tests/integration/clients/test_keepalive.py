"""Connections to a face service, against a server that answers byte by byte what it is told to."""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from face_import.clients import keepalive
from face_import.clients.hosts import tls_context
from face_import.clients.keepalive import Answer, AnswerTooLarge, KeepAlive, NoAnswer, NoConnection
from tests.waiting import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MADE = b"HTTP/1.1 201 Made it\r\nX-A: b\r\n"
MOST = 10_000


class Origin:
    """What a server was asked (number of the connection, head, body), and how many of its connections are open."""

    def __init__(self, answers: tuple[bytes, ...], tls: ssl.SSLContext | None, *, piece: int, closes: bool) -> None:
        self._answers = list(answers)
        self._tls, self._piece, self._closes = tls, piece, closes
        self.asked: list[tuple[int, bytes, bytes]] = []
        self.connections = self.open = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve; gives host and port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        async with server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        number = self.connections
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int((re.search(rb"content-length: (\d+)", head, re.IGNORECASE) or [0, 0])[1])
                self.asked.append((number, head, await reader.readexactly(length)))
                answer = self._answers.pop(0) if self._answers else b""
                for start in range(0, len(answer), self._piece):
                    writer.write(answer[start : start + self._piece])
                    await writer.drain()
                    await asyncio.sleep(0)
                if self._closes:
                    break
        self.open -= 1
        writer.close()


@asynccontextmanager
async def talking(
    *answers: bytes, piece: int = 2**20, closes: bool = False, user: str = "", path: str = ""
) -> AsyncIterator[tuple[KeepAlive, Origin]]:
    """A client, and the server that it talks to."""
    origin = Origin(answers, None, piece=piece, closes=closes)
    async with origin.serving() as address:
        client = KeepAlive(f"http://{user}{address}{path}", {"Accept": "application/json"}, MOST)
        yield client, origin
        client.close()


async def post(client: KeepAlive, body: bytes = b"{}") -> Answer:
    """One request."""
    return await client.post("/x", body, 5)


async def test_a_connection_serves_one_request_after_the_other() -> None:
    """The next request goes over the connection that is open, with the headers that were given."""
    async with talking(OK, OK, path="/base/") as (client, origin):
        for body in (b"one", b"two"):
            assert await post(client, body) == Answer(200, "OK", {"content-length": "2"}, b"ok")
    assert [(number, body) for number, _, body in origin.asked] == [(1, b"one"), (1, b"two")]
    line, host, *headers = origin.asked[0][1].decode().strip().split("\r\n")
    assert (line, host[:16]) == ("POST /base/x HTTP/1.1", "Host: 127.0.0.1:")
    assert headers == ["Accept: application/json", "Content-Length: 3"]


async def test_what_is_only_asked_for_has_no_body() -> None:
    """It goes over the same connections, also after a body."""
    async with talking(OK, OK, path="/base/") as (client, origin):
        await post(client)
        assert await client.get("/y", 5) == Answer(200, "OK", {"content-length": "2"}, b"ok")
    assert [number for number, *_ in origin.asked] == [1, 1]
    line, _, *headers = origin.asked[1][1].decode().strip().split("\r\n")
    assert (line, headers) == ("GET /base/y HTTP/1.1", ["Accept: application/json"])


async def test_requests_side_by_side_have_a_connection_each() -> None:
    """There is no queue within the client."""
    async with talking(OK, OK, OK) as (client, origin):
        await asyncio.gather(post(client), post(client), post(client))
    assert origin.connections == 3


async def test_user_and_password_are_sent() -> None:
    """A service behind a proxy with basic authentication is reached by its URL."""
    async with talking(OK, user="me:p%40ss@") as (client, origin):
        await post(client)
    assert b"Authorization: Basic " + base64.b64encode(b"me:p@ss") in origin.asked[0][1]


async def test_an_idle_connection_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may close one any moment; what is sent then would be lost."""
    async with talking(OK, OK) as (client, origin):
        await post(client)
        monkeypatch.setattr(keepalive, "IDLE_S", -1)
        await post(client)
        await eventually(lambda: origin.open == 1)
    assert [number for number, *_ in origin.asked] == [1, 2]


async def test_a_connection_that_the_server_closed_is_not_used() -> None:
    """Though it did not say that it would."""
    async with talking(OK, OK, closes=True) as (client, _):
        await post(client)
        await eventually(lambda: not client._idle[0].reusable)
        assert (await post(client)).body == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + OK,
        OK + b"x",
    ],
    ids=["close", "1.0", "one too many", "rubbish behind it"],
)
async def test_a_connection_in_doubt_is_not_used(answer: bytes) -> None:
    """What follows there may be the answer to nothing."""
    async with talking(answer, OK) as (client, origin):
        assert (await post(client)).body == b"ok"
        assert (await post(client)).body == b"ok"
    assert [number for number, *_ in origin.asked] == [1, 2]


@pytest.mark.parametrize("piece", [1, 2**20], ids=["byte by byte", "at once"])
@pytest.mark.parametrize(
    ("answer", "closes"),
    [
        (MADE + b"Content-Length: 5\r\n\r\nhello", False),
        (
            MADE + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            False,
        ),
        (MADE + b"\r\nhello", True),
        (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nX-B: c\r\n\r\n" + MADE + b"Content-Length: 5\r\n\r\nhello", False),
    ],
    ids=["length", "chunks", "end of connection", "informational"],
)
async def test_an_answer_is_whole(answer: bytes, piece: int, *, closes: bool) -> None:
    """However its length is told, and whatever pieces it comes in."""
    async with talking(answer, piece=piece, closes=closes) as (client, _):
        status, reason, headers, body = await post(client)
    assert (status, reason, headers["x-a"], body) == (201, "Made it", "b", b"hello")
    assert "x-b" not in headers


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_may_have_no_body(status: int) -> None:
    """By its status; the connection stays open and is used again."""
    async with talking(b"HTTP/1.1 %d X\r\n\r\n" % status, OK) as (client, origin):
        assert (await post(client))[0] == status
        assert (await post(client)).body == b"ok"
    assert origin.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
        b"HTTP/1.1 103 Early\r\nX-A: b\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
    ],
    ids=["nothing", "head", "body", "chunk", "informational", "ssh", "upgrade", "two lengths", "length and chunks"],
)
async def test_an_answer_that_is_none(answer: bytes) -> None:
    """It broke off, or is not HTTP, or says two things at once: whether the service did what was asked is unknown."""
    async with talking(answer, closes=True) as (client, origin):
        with pytest.raises(NoAnswer):
            await post(client)
        await eventually(lambda: origin.open == 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99_999,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 99_999,
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 2_000,
    ],
    ids=["length", "no length", "head"],
)
async def test_an_answer_has_a_largest_size(answer: bytes) -> None:
    """Nothing behind it is read."""
    async with talking(answer) as (client, origin):
        with pytest.raises(AnswerTooLarge, match="more than 10000 bytes"):
            await post(client)
        await eventually(lambda: origin.open == 0)


async def test_an_answer_may_come_before_the_request_was_sent() -> None:
    """A service that refuses a large body at its head is understood; the connection ends with it."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        client = KeepAlive(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", {}, MOST)
        assert (await post(client, bytes(50_000_000))).status == 413
        assert not client._idle
        ended.set()


async def test_a_service_that_is_silent_is_given_up() -> None:
    """After the time that was given; its connection is closed."""
    async with talking() as (client, origin):
        with pytest.raises(TimeoutError):
            await client.post("/x", b"{}", 0.1)
        await eventually(lambda: origin.open == 0)


async def test_a_broken_off_call_closes_its_connection() -> None:
    """Its answer would be taken for another's."""
    async with talking() as (client, origin):
        call = asyncio.create_task(post(client))
        await eventually(lambda: len(origin.asked) == 1)
        call.cancel()
        await eventually(lambda: origin.open == 0)
        with pytest.raises(asyncio.CancelledError):
            await call


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nohost.invalid", "a..b", "x" * 64])
async def test_no_connection(host: str) -> None:
    """Nothing was sent, and the text says why."""
    with pytest.raises(NoConnection, match=r"\w"):
        await post(KeepAlive(f"http://{host}", {}, MOST))


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
async def test_a_server_of_another_kind(greeting: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It hangs up, or speaks first: that is known at once, whether it comes before the request is sent or after."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        client = KeepAlive(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", {}, MOST)
        for _ in range(20):
            with pytest.raises((NoConnection, NoAnswer)):
                await post(client)
    assert caplog.records == []


async def test_what_comes_before_the_request_ends_the_connection() -> None:
    """As the test before, but certainly in that order."""
    async with talking() as (client, _):
        connection = await client._connect()
        connection.data_received(b"SSH-2.0-OpenSSH_9.2\r\n")
        with pytest.raises(NoConnection, match="closed at once"):
            connection.send(b"", b"")


async def test_a_handshake_that_does_not_end_is_no_connection() -> None:
    """Nothing was sent either."""
    async with talking() as (_, origin), origin.serving() as address:
        client = KeepAlive(f"https://{address}", {}, MOST)
        with pytest.raises(NoConnection, match="no connection in time"):
            await client.post("/x", b"{}", 0.1)


async def test_tls_and_its_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service under https is reached if its certificate is trusted, and sent nothing if not."""
    origin = Origin((OK,), _certified(tmp_path), piece=2**20, closes=False)
    async with origin.serving() as address:
        with pytest.raises(NoConnection, match="CERTIFICATE"):
            await post(KeepAlive(f"https://{address}", {}, MOST))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        client = KeepAlive(f"https://{address}", {}, MOST)
        assert (await post(client)).body == b"ok"
        client.close()
    assert len(origin.asked) == 1


async def test_a_private_authority_of_a_service_is_a_setting(tmp_path: Path) -> None:
    """Its certificate is in a file that the operator names."""
    origin = Origin((OK,), _certified(tmp_path), piece=2**20, closes=False)
    async with origin.serving() as address:
        client = KeepAlive(f"https://{address}", {}, MOST, tls_context(tmp_path / "cert.pem"))
        assert (await post(client)).body == b"ok"
        client.close()


def _certified(folder: Path) -> ssl.SSLContext:
    """A server's context with a new certificate for 127.0.0.1, which is in `cert.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
