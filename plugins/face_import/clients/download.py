"""Streams a source from http(s) under the same address rules as images, without holding it in memory."""

import io
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, cast

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
from urllib3.util import Retry, Timeout, make_headers, parse_url

from face_import.clients.addresses import AddressError, AddressGuard
from face_import.clients.transfer import HEADERS, MAX_REDIRECTS, FetchError, status_error
from face_import.domain.uri import scheme_of
from face_import.settings import Settings

# Its warnings and notes have whole URLs in them, with whatever secret stands in their query.
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

    Every connection, also one that follows a redirect, goes to a checked address. There is no deadline
    for the whole: sources are large, and `fetch_timeout_s` bounds each wait. The caller bounds the size.

    Raises:
        FetchError: when opening or while reading; says why.
    """
    if scheme_of(url) not in {"http", "https"}:
        raise FetchError(_NOT_HTTP)
    guard = AddressGuard(settings.fetch_allow)
    timeout = Timeout(connect=settings.fetch_connect_timeout_s, read=settings.fetch_timeout_s)
    with urllib3.PoolManager(timeout=timeout, retries=_RETRY) as manager:
        pools: dict[str, Any] = {"http": partial(_HttpPool, guard=guard)}
        pools["https"] = partial(_HttpsPool, guard=guard)
        manager.pool_classes_by_scheme = pools
        try:
            auth = parse_url(url).auth
            headers = {**HEADERS, **(make_headers(basic_auth=auth) if auth else {})}
            response = _requested(manager, url, headers)
            try:
                if not 200 <= response.status < 300:
                    raise status_error(response.status, response.reason)
                cast("urllib3.HTTPResponse", response).auto_close = False  # or its end would read as "closed"
                yield io.BufferedReader(cast("io.RawIOBase", response), 1 << 16)
            finally:
                response.close()
        except HTTPError as error:
            raise _fetch_error(error, settings) from None


def _requested(manager: urllib3.PoolManager, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    try:
        return manager.request("GET", url, headers=headers, preload_content=False)
    except ValueError as error:  # a redirect to something that Python's own parser refuses
        if isinstance(error, HTTPError):
            raise
        raise FetchError(_NOT_HTTP) from None


class _Guarded(HTTPConnection):
    """A connection that checks each address it is about to use."""

    def __init__(self, *args: Any, guard: AddressGuard, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard

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
