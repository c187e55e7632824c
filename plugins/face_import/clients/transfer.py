"""What failures of HTTP transfers mean for a row or a source, in the user's words."""

import errno
import http
import os
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from errno import EACCES

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from face_import.clients.addresses import AddressError
from face_import.contract import Reason
from face_import.errors import RowError

HEADERS = {"User-Agent": "face-import", "Accept": "*/*", "Accept-Encoding": "identity"}
"""Images do not compress, and an encoded body would have no known length."""

_HOST_TROUBLE = {408, 429, 502, 503, 504}
_PASSING = {202, 425} | _HOST_TROUBLE
_REASONS = {
    **dict.fromkeys((204, 205), Reason.EMPTY),
    **dict.fromkeys((401, 402, 403, 407, 451), Reason.FORBIDDEN),
    **dict.fromkeys((404, 410), Reason.NOT_FOUND),
}
_WORDS = {202: ": no image so far", 204: ": no image in it", 205: ": no image in it", 401: ": behind a login"}
_PROXY = "the proxy (FACE_IMPORT_FETCH_PROXY)"
_UNKNOWN_AUTHORITY = {18, 19, 20, 21}
"""OpenSSL's codes for a chain that ends at no authority of ours."""
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS}
"""Errors of this machine, which no row and no host has caused."""
_LONGEST_RETRY_AFTER = 64
MAX_HEADER_BYTES = 65_536
"""Of one header; hosts and their CDNs add policies of 10 kB and more."""


class FetchError(RowError):
    """An image could not be downloaded (code 101), or something came that is none (code 102); the text says why.

    Args:
        message: for the person who wrote the row.
        reason: for programs.

    Attributes:
        origin: of the host; empty until the fetcher has filled it in.
    """

    origin = ""

    def __init__(self, message: str, reason: Reason = Reason.REFUSED) -> None:
        super().__init__(message)
        self.reason = reason


class TransientFetchError(FetchError):
    """May not happen again at the next attempt.

    Args:
        retry_after: seconds the host asked us to wait, if it did.
        of_host: whether other rows of the same host would fail, too.

    Attributes:
        overloaded: whether the host said that there are too many requests.
    """

    overloaded = False

    def __init__(
        self,
        message: str,
        reason: Reason = Reason.UNAVAILABLE,
        *,
        retry_after: float | None = None,
        of_host: bool = False,
    ) -> None:
        super().__init__(message, reason)
        self.retry_after = retry_after
        self.of_host = of_host


def has_image(status: int) -> bool:
    """Whether an answer of this HTTP status may have an image in it."""
    return 200 <= status < 300 and status not in {202, 204, 205}


def answers(status: int) -> bool:
    """Whether an HTTP status shows that the host is available; 500 shows neither."""
    return status != http.HTTPStatus.INTERNAL_SERVER_ERROR and status not in _HOST_TROUBLE


def status_error(status: int, reason: str | None, wait: float | None = None) -> FetchError:
    """Return what an HTTP status without an image means: 202, 5xx, 408, 425 and 429 may pass."""
    try:
        phrase = reason or http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    message = f"{status} {phrase}".strip()[:100] + _WORDS.get(status, "")
    if status >= 500 or status in _PASSING:
        error = TransientFetchError(message, retry_after=wait, of_host=status in _HOST_TROUBLE)
        error.overloaded = status == http.HTTPStatus.TOO_MANY_REQUESTS
        return error
    return FetchError(message, _REASONS.get(status, Reason.REFUSED))


def retry_after(value: str) -> float | None:
    """Return the seconds a `Retry-After` header asks for, given as a number or as a date; None if neither.

    A date may be in the year 9999, at an offset of a century: computing with it may raise nearly anything.
    """
    if len(value) > _LONGEST_RETRY_AFTER:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError, OSError):
        return None


def connection_error(error: Exception) -> FetchError:
    """Return what an error of aiohttp's client means; a host that cannot be encoded is a `ValueError`.

    Raises:
        OSError: the machine has no file descriptor left, or the like.
    """
    if isinstance(error, aiohttp.ClientConnectorError):
        return _connector_error(error)
    if isinstance(error, AddressError):
        return FetchError(str(error), Reason.REFUSED_ADDRESS)
    if isinstance(error, aiohttp.ClientResponseError):
        return _answer_error(error)
    for kind, meaning in _MEANINGS:
        if isinstance(error, kind):
            return meaning()
    return TransientFetchError("the connection broke off", of_host=True)


_MEANINGS: tuple[tuple[type[Exception], Callable[[], FetchError]], ...] = (
    (ValueError, lambda: FetchError("not a valid URL", Reason.INVALID_URI)),
    (aiohttp.ClientPayloadError, lambda: TransientFetchError("the answer broke off")),
    (aiohttp.ServerTimeoutError, lambda: TransientFetchError("no connection in time", Reason.TIMEOUT, of_host=True)),
)


def _answer_error(error: aiohttp.ClientResponseError) -> FetchError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        words = f"{_PROXY} says {error.status} {error.message}"[:120]
        if error.status >= 500:
            return TransientFetchError(words, of_host=True)
        return FetchError(words, Reason.UNAVAILABLE)
    if isinstance(error.__cause__, HttpProcessingError) and isinstance(error.__cause__.__cause__, LineTooLong):
        return FetchError(f"a header of more than {MAX_HEADER_BYTES} bytes", Reason.INVALID_ANSWER)
    return FetchError("not a valid HTTP answer", Reason.INVALID_ANSWER)


def _connector_error(error: aiohttp.ClientConnectorError) -> FetchError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return FetchError(f"TLS with {error.host} failed: {tls_words(error.certificate_error)}", Reason.TLS)
    cause = error.os_error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        words = f"no address for host {error.host}"
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN:
            return TransientFetchError(words, Reason.UNKNOWN_HOST, of_host=True)
        return FetchError(words, Reason.UNKNOWN_HOST)
    if isinstance(error, aiohttp.ClientSSLError):
        return FetchError(f"TLS with {error.host} failed: {tls_words(cause)}", Reason.TLS)
    if cause.errno == EACCES:  # the address guard; of several addresses aiohttp joins the texts
        text = str(cause).removeprefix(f"[Errno {EACCES}] ").removeprefix("Multiple exceptions: ")
        return FetchError(text, Reason.REFUSED_ADDRESS)
    if cause.errno in MACHINE:
        raise cause
    why = os.strerror(cause.errno) if cause.errno else "no connection"  # asyncio's own text has a Python tuple
    proxied = isinstance(error, aiohttp.ClientProxyConnectionError)
    which = _PROXY if proxied else f"{error.host}:{error.port}"
    return TransientFetchError(f"cannot connect to {which}: {why[:200]}", of_host=True)


def tls_words(error: object) -> str:
    """Return what failed in a TLS handshake, and the setting that may help."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _UNKNOWN_AUTHORITY:
        return f"{error.verify_message}: FACE_IMPORT_CA_FILE can name the certificate of a private CA"
    return str(error)[:200]
