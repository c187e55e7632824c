"""Fetches the bytes behind an image URI, from public addresses only, within bounds of time and size."""

import asyncio
import http
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
from yarl import URL

from face_import.clients.addresses import AddressGuard
from face_import.clients.budget import ByteBudget, Reservation, Wait, just_wait
from face_import.clients.retrying import backoff, retried
from face_import.clients.transfer import (
    HEADERS,
    MAX_REDIRECTS,
    FetchError,
    TransientFetchError,
    connection_error,
    retry_after,
    status_error,
)
from face_import.contract import MAX_URI_BYTES
from face_import.domain.data_uri import DataUriError, decode_data_uri
from face_import.domain.uri import scheme_of
from face_import.domain.uri_form import flaw_of
from face_import.settings import Settings

ATTEMPTS = 4
MAX_RETRY_AFTER_S = 10.0
"""A longer pause would use up a row's deadline, so a host that asks for one has refused the row."""

_AT_ONCE = 2**20
"""Characters of a data URI that are decoded in the event loop; a longer one could hold it up beyond a lease's end."""
_VERBATIM = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
"""A URL with nothing left to quote is sent unchanged: re-quoting would break signed URLs. Matching takes a hundred
bytes a character.
"""


class Fetched(NamedTuple):
    """What a host answered.

    Attributes:
        data: the bytes; none if they are unchanged.
        validator: the host's entity tag or date for these bytes, empty if it has none.
        unchanged: whether the host says that they have not changed.
    """

    data: bytes
    validator: str = ""
    unchanged: bool = False


class Fetcher:
    """Fetches images; one for a shard, used by many rows at once.

    ::

        async with Fetcher(settings) as fetcher:
            async with fetcher.fetched(uri) as data:
                ...

    Args:
        settings: bounds of time and size, allowed addresses.
        wait: how a row waits for memory for its image.
    """

    def __init__(self, settings: Settings, wait: Wait = just_wait) -> None:
        self._timeout = settings.fetch_timeout_s
        self._connect_timeout = settings.fetch_connect_timeout_s
        self._per_host = settings.fetch_per_host
        self._max_bytes = settings.max_image_bytes
        self._guard = AddressGuard(settings.fetch_allow)
        self._budget = ByteBudget(max(settings.max_bytes_in_flight, settings.max_image_bytes), wait)

    async def __aenter__(self) -> Self:
        """Open the connection pool; belongs to the running event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, limit_per_host=self._per_host, ttl_dns_cache=300, socket_factory=self._guard.socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
            headers=HEADERS,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @asynccontextmanager
    async def fetched(self, uri: str) -> AsyncIterator[bytes]:
        """Fetch a URI and hold its bytes, counted against `max_bytes_in_flight`, for the block.

        Transient failures (no connection, 5xx, 429, a body cut short) are retried within the row's
        deadline `fetch_timeout_s`, which is suspended while the row waits for memory.

        Args:
            uri: http, https or data.

        Raises:
            FetchError: the image could not be downloaded (code 101); the text says why.
        """
        with self._budget.reservation() as held:
            yield (await self._fetched(uri, held, None)).data

    @asynccontextmanager
    async def fetched_if_changed(self, uri: str, validator: str) -> AsyncIterator[Fetched]:
        """Fetch as `fetched` does, unless the host says that the bytes are still those of `validator` (304).

        Args:
            uri: http, https or data.
            validator: from an earlier answer for the same URI; empty fetches unconditionally.

        Raises:
            FetchError: the image could not be downloaded (code 101); the text says why.
        """
        with self._budget.reservation() as held:
            yield await self._fetched(uri, held, validator)

    async def fetch(self, uri: str) -> bytes:
        """Fetch a URI whose bytes need not be counted once they are there; see `fetched`."""
        async with self.fetched(uri) as data:
            return data

    async def _fetched(self, uri: str, held: Reservation, validator: str | None) -> Fetched:
        if scheme_of(uri) == "data":
            return Fetched(await self._decoded(uri, held))
        url, trouble = _parsed(uri), f"no answer within {self._timeout:g} s"

        async def pause(error: TransientFetchError, attempts: int) -> None:
            nonlocal trouble
            trouble, wait = str(error), error.retry_after
            wait = backoff(attempts, first_s=0.2, longest_s=5) if wait is None else wait
            if attempts >= ATTEMPTS or wait > MAX_RETRY_AFTER_S:
                raise error
            await asyncio.sleep(wait)

        try:
            async with asyncio.timeout(self._timeout) as deadline:
                return await retried(partial(self._attempt, url, held, deadline, validator), TransientFetchError, pause)
        except TimeoutError:
            raise FetchError(trouble) from None

    async def _decoded(self, uri: str, held: Reservation) -> bytes:
        await held.take(min(len(uri), self._max_bytes))
        try:
            if len(uri) <= _AT_ONCE:
                return decode_data_uri(uri, self._max_bytes)
            return await asyncio.to_thread(decode_data_uri, uri, self._max_bytes)
        except DataUriError as error:
            raise FetchError(str(error)) from None

    async def _attempt(self, url: URL, held: Reservation, deadline: asyncio.Timeout, validator: str | None) -> Fetched:
        """Make one attempt; if `validator` is None, the answer's own is not needed either."""
        headers = condition(validator) if validator else None
        try:
            # aiohttp counts the request that answers with the redirect too
            async with self._session.get(url, headers=headers, max_redirects=MAX_REDIRECTS + 1) as response:
                if response.status == http.HTTPStatus.NOT_MODIFIED and headers:
                    if not response.history:
                        return Fetched(b"", validator or "", unchanged=True)
                    # a validator of this URL says nothing about where it leads now
                    return await self._attempt(url, held, deadline, "")
                if not 200 <= response.status < 300:
                    raise status_error(
                        response.status, response.reason, retry_after(response.headers.get("Retry-After", ""))
                    )
                data = await self._read(response, held, deadline)
                wanted = validator is not None and not response.history
                return Fetched(data, validator_of(response.headers) if wanted else "")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise connection_error(error) from None

    async def _read(self, response: aiohttp.ClientResponse, held: Reservation, deadline: asyncio.Timeout) -> bytes:
        """Read the body, never holding more than was reserved for it."""
        plain = response.headers.get("Content-Encoding", "identity") == "identity"
        length = response.content_length if plain else None
        room = self._max_bytes if length is None else length
        if room > self._max_bytes:
            raise FetchError(f"larger than {self._max_bytes} bytes")
        await _unhurried(held.take(room), deadline)
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > room:
                raise FetchError(f"larger than {self._max_bytes} bytes")
            chunks.append(chunk)
        held.shrink(size)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _unhurried(waiting: Awaitable[None], deadline: asyncio.Timeout) -> None:
    """Wait for memory with the deadline suspended: it limits the host, not us."""
    clock = asyncio.get_running_loop().time
    left = (deadline.when() or clock()) - clock()
    deadline.reschedule(None)
    await waiting
    deadline.reschedule(clock() + left)


def _parsed(uri: str) -> URL:
    if flaw := flaw_of(uri):
        raise FetchError(flaw.value)
    if len(uri) > MAX_URI_BYTES:
        raise FetchError(f"a URL of {len(uri)} characters, more than {MAX_URI_BYTES}")
    try:
        url = URL(uri, encoded=bool(_VERBATIM.fullmatch(uri)))
        if url.host and url.port:
            return url
    except ValueError:
        pass
    raise FetchError("not a valid URL")


_STRONG = re.compile(r'"[\x21\x23-\x7e]{0,200}"')
"""A strong entity tag without characters that are not plain ASCII; a weak one may stay while bytes change."""
_SECOND = 1.0


def validator_of(headers: Mapping[str, str]) -> str:
    """The answer's strong entity tag, else its date of modification, else nothing.

    A date counts only if it is at least a second before the answer's: within a second the image may change again.
    """
    tag = headers.get("ETag", "")
    if _STRONG.fullmatch(tag):
        return tag
    try:
        modified, answered = (parsedate_to_datetime(headers.get(name, "")) for name in ("Last-Modified", "Date"))
        if answered.timestamp() - modified.timestamp() >= _SECOND:
            return format_datetime(datetime.fromtimestamp(modified.timestamp(), UTC), usegmt=True)
    except (ValueError, OverflowError, OSError):
        pass
    return ""


def condition(validator: str) -> dict[str, str]:
    """The header that requests the image only if it has changed."""
    return {"If-None-Match" if validator.startswith('"') else "If-Modified-Since": validator}
