"""Requests to one origin over connections that stay open: asyncio's transports, llhttp as parser (ADR 17).

It is made for the face services, which the operator configures. Image hosts on the internet need more (redirects,
encodings, checked addresses, limits per host): `fetcher` uses aiohttp for them.
"""

import asyncio
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Coroutine
from typing import Any, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from yarl import URL

IDLE_S = 1.5
"""Seconds for which an idle connection is used again; gunicorn closes its own after 2, and a POST on those is lost."""


class NoConnection(OSError):
    """Nothing was sent."""


class NoAnswer(OSError):
    """The connection ended, or what came is not HTTP; whether the request was acted on is unknown."""


class AnswerTooLarge(ValueError):
    """The answer is larger than allowed."""


class Answer(NamedTuple):
    """An HTTP answer; names of headers are in lower case."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class KeepAlive:
    """Connections to an origin, each with one request at a time. Belongs to the running event loop.

    Args:
        base: http or https URL; its path is put before those of the requests, its user and password are sent along.
        headers: sent with each request.
        max_bytes: maximum size of an answer.
        tls: how to check the certificate of an https URL; by default with the system's authorities.
    """

    def __init__(self, base: str, headers: dict[str, str], max_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        url = URL(base)
        self._host, self._port = url.raw_host or "", url.port or 0
        self._path = url.raw_path.rstrip("/")
        self._tls = (tls or ssl.create_default_context()) if url.scheme == "https" else None
        if url.user is not None:
            login = b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
            headers = {**headers, "Authorization": f"Basic {login}"}
        lines = {"Host": url.host_port_subcomponent or "", **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._max_bytes = max_bytes
        self._idle: deque[_Connection] = deque()

    def post(self, path: str, body: bytes, timeout_s: float) -> Coroutine[Any, Any, Answer]:
        """Send a body, and read the whole answer.

        Raises:
            NoConnection: nothing was sent; also if connecting takes longer than `timeout_s`.
            NoAnswer: the connection ended, or what came is not HTTP.
            AnswerTooLarge: the answer is larger than `max_bytes`.
            TimeoutError: no answer within `timeout_s`, including the time to connect.
        """
        head = f"POST {self._path}{path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        return self._exchange(head, body, timeout_s)

    def get(self, path: str, timeout_s: float) -> Coroutine[Any, Any, Answer]:
        """Ask for a path; raises as `post` does."""
        return self._exchange(f"GET {self._path}{path} HTTP/1.1\r\n{self._head}\r\n", b"", timeout_s)

    async def _exchange(self, head: str, body: bytes, timeout_s: float) -> Answer:
        connection = None
        try:
            async with asyncio.timeout(timeout_s):
                connection = self._warm() or await self._connect()
                answer = await connection.send(head.encode(), body)
        except BaseException as error:
            if connection is not None:
                connection.abort()
            elif isinstance(error, TimeoutError):
                raise NoConnection("no connection in time") from None
            raise
        connection.idle_since = asyncio.get_running_loop().time()
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            self._idle.pop().abort()

    def _warm(self) -> "_Connection | None":
        """The most recently used connection that is still open."""
        oldest = asyncio.get_running_loop().time() - IDLE_S
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.popleft().abort()
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
        return None

    async def _connect(self) -> "_Connection":
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self._max_bytes), self._host, self._port, ssl=self._tls, happy_eyeballs_delay=0.25
            )
        except (OSError, UnicodeError) as error:  # a name that cannot be encoded is the latter
            raise NoConnection(getattr(error, "strerror", None) or str(error)) from None
        return connection


class _Connection(asyncio.Protocol):
    """A connection with at most one request in flight; the methods `on_...` are called by the parser."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self._room = max_bytes
        self._pending: asyncio.Future[Answer] | None = None
        self._keep = self._ends_with_connection = False
        self.idle_since = 0.0

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent."""
        transport = self._transport
        return self._keep and not transport.is_closing() and not transport.get_write_buffer_size()

    def send(self, head: bytes, body: bytes) -> asyncio.Future[Answer]:
        if self._transport.is_closing():  # the future would never get a result
            raise NoConnection("the connection was closed at once")
        self._room = self._max_bytes
        self._ends_with_connection = False
        self._parser = HttpResponseParser(self)
        self._pending = asyncio.get_running_loop().create_future()
        self._transport.writelines((head, body))
        return self._pending

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._room -= len(data)
        if self._pending is None or self._pending.done():
            self.abort()  # nothing was asked
        elif self._room < 0:
            self._fail(AnswerTooLarge(f"more than {self._max_bytes} bytes"))
        else:
            try:
                self._parser.feed_data(data)
            except (HttpParserError, HttpParserUpgrade) as error:
                self._fail(NoAnswer(f"not HTTP: {error}"))

    def eof_received(self) -> None:
        """The end of the connection is the end of an answer that does not say how long it is."""
        if self._ends_with_connection and self._pending is not None and not self._pending.done():
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(NoAnswer(getattr(exc, "strerror", None) or "the connection was closed"))

    def on_message_begin(self) -> None:
        self._reason, self._body = b"", list[bytes]()
        self._headers: dict[str, str] = {}
        self._ends_with_connection = False

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._keep = self._parser.should_keep_alive()
        self._ends_with_connection = not self._headers.keys() & {"content-length", "transfer-encoding"}

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            self._complete()
        else:  # an interim answer: the final one follows
            self._ends_with_connection = False

    def _complete(self) -> None:
        if self._pending is None or self._pending.done():
            self._keep = False  # an answer without a request
            return
        reason = self._reason.decode("latin-1")
        self._pending.set_result(Answer(self._parser.get_status_code(), reason, self._headers, b"".join(self._body)))

    def _fail(self, error: Exception) -> None:
        self._keep = False
        if self._pending is not None and not self._pending.done():
            self._pending.set_exception(error)
