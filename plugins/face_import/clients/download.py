"""Streams a source from http(s) under the same address rules as images, without holding it in memory."""

import io
import logging
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, BinaryIO, Self, cast
from urllib.parse import unquote

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)
from urllib3.exceptions import (
    TimeoutError as Urllib3TimeoutError,
)
from urllib3.util import Retry, Timeout, parse_url

from face_import.clients.addresses import AddressError, AddressGuard
from face_import.clients.transfer import HEADERS, MAX_REDIRECTS, FetchError, status_error
from face_import.domain.uri import scheme_of
from face_import.settings import Settings

# Its log lines contain whole URLs, including secrets in their queries.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_NOT_HTTP = "not a valid http or https URL"
_RETRY = Retry(
    total=None,
    connect=2,
    read=2,
    redirect=MAX_REDIRECTS,
    status=2,
    other=0,
    status_forcelist=(429, 500, 502, 503, 504),
    backoff_factor=0.5,
    backoff_jitter=0.2,
    retry_after_max=30,
    raise_on_status=False,
)


@contextmanager
def open_http(url: str, settings: Settings) -> Iterator[BinaryIO]:
    """Open a http(s) URL for reading; to be read in one pass.

    Every connection, also one that follows a redirect, goes to a checked address. `fetch_timeout_s` bounds each
    wait, and `source_timeout_s` the whole, from here to the end of the reading. The caller bounds the size.

    Raises:
        FetchError: when opening or while reading; says why.
    """
    if scheme_of(url) not in {"http", "https"}:
        raise FetchError(_NOT_HTTP)
    guard = AddressGuard(settings.fetch_allow)
    deadline = _Deadline(settings.source_timeout_s)
    timeout = Timeout(connect=settings.fetch_connect_timeout_s, read=settings.fetch_timeout_s)
    with deadline, urllib3.PoolManager(timeout=timeout, retries=_RETRY) as manager:
        pools: dict[str, Any] = {"http": partial(_HttpPool, guard=guard, deadline=deadline)}
        pools["https"] = partial(_HttpsPool, guard=guard, deadline=deadline)
        manager.pool_classes_by_scheme = pools
        try:
            response = _requested(manager, url, {**HEADERS, **_login(parse_url(url).auth)})
            try:
                if not 200 <= response.status < 300:
                    raise status_error(response.status, response.reason)
                cast("urllib3.HTTPResponse", response).auto_close = False  # or its end would read as "closed"
                yield io.BufferedReader(_Body(cast("io.RawIOBase", response), deadline), 1 << 16)
            finally:
                response.close()
        except HTTPError as error:
            deadline.check()
            raise _fetch_error(error, settings) from None


def _login(auth: str | None) -> dict[str, str]:
    """The header for a URL's user and password, whose special characters are percent-encoded there and nowhere else."""
    if not auth:
        return {}
    user, _, password = auth.partition(":")
    login = f"{unquote(user)}:{unquote(password)}"
    return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def _requested(manager: urllib3.PoolManager, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    try:
        return manager.request("GET", url, headers=headers, preload_content=False)
    except ValueError as error:  # a redirect to something that Python's own parser refuses
        if isinstance(error, HTTPError):
            raise
        raise FetchError(_NOT_HTTP) from None


class _Deadline:
    """Cuts all connections of a download off when its time is over.

    A socket's timeout starts again with every byte. So a timer shuts the sockets down, whether a status line, a header
    or a chunk is being read. It uses duplicates, because TLS takes over the original ones.

    Args:
        seconds: from entering the block on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._passed = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut_off)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()

    def watch(self, sock: socket.socket) -> None:
        """Cut this connection off too.

        Raises:
            FetchError: the time is over already.
        """
        with self._lock:
            self.check()
            self._sockets.append(sock.dup())

    def check(self) -> None:
        """Refuse to continue, or to mistake a lost connection for the end of the body.

        Raises:
            FetchError: the time is over.
        """
        if self._passed:
            raise FetchError(f"not read to its end within {self._seconds:g} s (FACE_IMPORT_SOURCE_TIMEOUT_S)")

    def _cut_off(self) -> None:
        with self._lock:
            self._passed = True
            for sock in self._sockets:
                with suppress(OSError):  # closed by the other side
                    sock.shutdown(socket.SHUT_RDWR)


class _Body(io.RawIOBase):
    """A response's body that has to come in time."""

    def __init__(self, response: io.RawIOBase, deadline: _Deadline) -> None:
        self._response = response
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        size = self._response.readinto(buffer)
        self._deadline.check()
        return size


class _Guarded(HTTPConnection):
    """A connection that checks each address it is about to use, and ends with the deadline."""

    def __init__(self, *args: Any, guard: AddressGuard, deadline: _Deadline, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard
        self._deadline = deadline

    def _new_conn(self) -> socket.socket:
        try:
            entries = socket.getaddrinfo(self.host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from None
        failure: OSError = OSError("no address")
        for entry in entries:
            try:
                return self._connected(entry)
            except OSError as error:
                failure = error
        if isinstance(failure, AddressError):  # not an error urllib3 would try again
            raise FetchError(str(failure))
        why = failure.strerror or "no connection in time"
        raise NewConnectionError(self, f"{self.host}:{self.port}: {why}") from failure

    def _connected(self, entry: tuple[Any, ...]) -> socket.socket:
        sock = self._guard.socket(cast("Any", entry))
        try:
            sock.settimeout(self.timeout)
            sock.connect(entry[4])
            self._deadline.watch(sock)
        except BaseException:
            sock.close()
            raise
        return sock


class _GuardedTls(_Guarded, HTTPSConnection):
    """The same under TLS: `HTTPSConnection.connect` wraps the socket of `_new_conn`."""


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Guarded


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


def _fetch_error(error: HTTPError, settings: Settings) -> FetchError:
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    meanings: tuple[tuple[type[Exception], str], ...] = (
        (NameResolutionError, "no address for the host"),
        (NewConnectionError, f"cannot connect to {str(cause).rpartition('): ')[2]}"[:300]),
        (ReadTimeoutError, f"no answer within {settings.fetch_timeout_s:g} s"),
        (Urllib3TimeoutError, "no connection in time"),
        (SSLError, f"TLS failed: {str(cause)[:200]}"),
        (LocationValueError, _NOT_HTTP),
        (ResponseError, f"more than {MAX_REDIRECTS} redirects"),
    )
    return FetchError(next((text for kind, text in meanings if isinstance(cause, kind)), "the connection broke off"))
