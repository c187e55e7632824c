"""Streams a source from http(s) under the same address rules as images, without holding it in memory."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.exceptions import (
    TimeoutError as Urllib3TimeoutError,
)
from urllib3.util import Retry, Timeout, make_headers, parse_url

from face_import.clients.addresses import AddressGuard
from face_import.clients.hosts import HostHeaders, tls_context
from face_import.clients.transfer import HEADERS, FetchError, status_error, tls_words
from face_import.clients.urls import Target, redirected, target_of
from face_import.clients.wire import Deadline, HttpPool, HttpsPool, Wire
from face_import.contract import Reason
from face_import.domain.uri import scheme_of
from face_import.settings import Settings

# Its log lines contain whole URLs, including secrets in their queries.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_NOT_HTTP = "not a valid http or https URL"
_RETRY = Retry(
    total=None,
    connect=2,
    read=2,
    redirect=0,
    status=2,
    other=0,
    status_forcelist=(429, 500, 502, 503, 504),
    backoff_factor=0.5,
    backoff_jitter=0.2,
    retry_after_max=30,
    raise_on_status=False,
)
_REDIRECTS = {301, 302, 303, 307, 308}


@contextmanager
def open_http(url: str, settings: Settings) -> Iterator[BinaryIO]:
    """Open a http(s) URL for reading; to be read in one pass.

    Every connection, also one that follows a redirect, goes to a checked address. `fetch_timeout_s` bounds each
    wait, and `source_timeout_s` the whole, from here to the end of the reading. The caller bounds the size.

    Raises:
        FetchError: when opening or while reading; says why.
        ConfigError: a file that a setting names cannot be used.
    """
    if scheme_of(url) not in {"http", "https"}:
        raise FetchError(_NOT_HTTP, Reason.INVALID_URI)
    deadline = Deadline(settings.source_timeout_s)
    wire = Wire(AddressGuard(settings.fetch_allow), deadline, proxied=bool(settings.fetch_proxy.get_secret_value()))
    with deadline, _manager(settings, wire) as manager:
        try:
            response = _final_answer(manager, wire, target_of(url), settings)
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


def _manager(settings: Settings, wire: Wire) -> urllib3.PoolManager:
    timeout = Timeout(connect=settings.fetch_connect_timeout_s, read=settings.fetch_timeout_s)
    options: dict[str, Any] = {"timeout": timeout, "retries": _RETRY, "ssl_context": tls_context(settings.ca_file)}
    if wire.proxied:
        proxy = parse_url(settings.fetch_proxy.get_secret_value())
        login = make_headers(proxy_basic_auth=unquote(proxy.auth)) if proxy.auth else None
        manager: urllib3.PoolManager = urllib3.ProxyManager(proxy.url, proxy_headers=login, **options)
    else:
        manager = urllib3.PoolManager(**options)
    pools: dict[str, Any] = {"http": partial(HttpPool, wire=wire), "https": partial(HttpsPool, wire=wire)}
    manager.pool_classes_by_scheme = pools
    return manager


def _final_answer(
    manager: urllib3.PoolManager, wire: Wire, target: Target, settings: Settings
) -> urllib3.BaseHTTPResponse:
    """Request a URL, and follow redirects."""
    configured = HostHeaders(settings.fetch_headers_file)
    url, login = target
    for _ in range(settings.fetch_max_redirects + 1):
        wire.aim(url)
        headers = {**HEADERS, **configured.of(url), **({"Authorization": login} if login else {})}
        try:
            response = manager.request("GET", str(url), headers=headers, preload_content=False, redirect=False)
        except ValueError as error:  # what Python's own parser refuses
            if isinstance(error, HTTPError):
                raise
            raise FetchError(_NOT_HTTP, Reason.INVALID_URI) from None
        if response.status not in _REDIRECTS:
            return response
        response.close()
        location = response.headers.get("Location", "").encode("latin-1", "replace").decode("utf-8", "surrogateescape")
        if not location:
            raise FetchError(f"{response.status} without a Location: a redirect to nowhere", Reason.REDIRECTS)
        before = url
        url, new_login = redirected(url, location)
        login = new_login or (login if url.origin() == before.origin() else "")
    raise FetchError(f"more than {settings.fetch_max_redirects} redirects", Reason.REDIRECTS)


class _Body(io.RawIOBase):
    """A response's body that has to come in time."""

    def __init__(self, response: io.RawIOBase, deadline: Deadline) -> None:
        self._response = response
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        size = self._response.readinto(buffer)
        self._deadline.check()
        return size


def _fetch_error(error: HTTPError, settings: Settings) -> FetchError:
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    late = f"no answer within {settings.fetch_timeout_s:g} s"
    meanings: tuple[tuple[type[Exception], str, Reason], ...] = (
        (ProxyError, "cannot connect to the proxy, or through it (FACE_IMPORT_FETCH_PROXY)", Reason.UNAVAILABLE),
        (NameResolutionError, "no address for the host", Reason.UNKNOWN_HOST),
        (NewConnectionError, f"cannot connect to {str(cause).rpartition('): ')[2]}"[:300], Reason.UNAVAILABLE),
        (ReadTimeoutError, late, Reason.TIMEOUT),
        (Urllib3TimeoutError, "no connection in time", Reason.TIMEOUT),
        (SSLError, f"TLS failed: {tls_words(cause.args[0] if cause.args else cause)}", Reason.TLS),
        (LocationValueError, _NOT_HTTP, Reason.INVALID_URI),
    )
    meant = next((meaning for meaning in meanings if isinstance(cause, meaning[0])), None)
    _, text, reason = meant or (HTTPError, "the connection broke off", Reason.UNAVAILABLE)
    return FetchError(text, reason)
