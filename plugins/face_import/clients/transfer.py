"""What failures of HTTP transfers mean for a row or a source, in the user's words."""

import errno
import http
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from errno import EACCES

import aiohttp

from face_import.errors import RowError

MAX_REDIRECTS = 5
HEADERS = {"User-Agent": "face-import", "Accept": "*/*", "Accept-Encoding": "identity"}
"""Images do not compress, and an encoded body would have no known length."""

_PASSING = {408, 425, 429}
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS}
"""Errors of this machine, which no row and no host has caused."""
_LONGEST_RETRY_AFTER = 64


class FetchError(RowError):
    """An image could not be downloaded (code 101); the text says why."""


class TransientFetchError(FetchError):
    """May not happen again at the next attempt.

    Args:
        retry_after: seconds the host asked us to wait, if it did.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def status_error(status: int, reason: str | None, wait: float | None = None) -> FetchError:
    """Return what an HTTP status other than 2xx means: 5xx, 408, 425 and 429 may pass."""
    try:
        phrase = reason or http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    message = f"{status} {phrase}".strip()[:100]
    if status >= 500 or status in _PASSING:
        return TransientFetchError(message, retry_after=wait)
    return FetchError(message)


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
    for kind, meaning, message in _MEANINGS:
        if isinstance(error, kind):
            return meaning(message)
    return TransientFetchError("the connection broke off")


_MEANINGS: tuple[tuple[type[Exception], type[FetchError], str], ...] = (
    (aiohttp.TooManyRedirects, FetchError, f"more than {MAX_REDIRECTS} redirects"),
    (aiohttp.RedirectClientError, FetchError, "redirected to something that is not an http or https URL"),
    (ValueError, FetchError, "not a valid URL"),
    (aiohttp.ClientPayloadError, TransientFetchError, "the answer broke off"),
    (aiohttp.ServerTimeoutError, TransientFetchError, "no connection in time"),
    (aiohttp.ClientResponseError, FetchError, "not a valid HTTP answer"),
)


def _connector_error(error: aiohttp.ClientConnectorError) -> FetchError:
    cause = error.os_error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        transient = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN
        return (TransientFetchError if transient else FetchError)(f"no address for host {error.host}")
    if isinstance(error, aiohttp.ClientSSLError):
        return FetchError(f"TLS with {error.host} failed: {str(cause)[:200]}")
    if cause.errno == EACCES:  # the address guard; of several addresses aiohttp joins the texts
        return FetchError(str(cause).removeprefix(f"[Errno {EACCES}] ").removeprefix("Multiple exceptions: "))
    if cause.errno in MACHINE:
        raise cause
    why = cause.strerror or "no connection"
    return TransientFetchError(f"cannot connect to {error.host}:{error.port}: {why[:200]}")
