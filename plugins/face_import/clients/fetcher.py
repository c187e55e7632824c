"""Fetches the bytes behind an image URI, from public addresses only, within bounds of time and size."""

import asyncio
import http
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp

from face_import.clients.addresses import AddressGuard
from face_import.clients.budget import ByteBudget, Reservation, Wait, just_wait
from face_import.clients.chain import Chain
from face_import.clients.connector import ImageConnector
from face_import.clients.content import begins_stream, encodings_of, is_image, is_whole, undone
from face_import.clients.hosts import HostHeaders
from face_import.clients.transfer import (
    HEADERS,
    MAX_HEADER_BYTES,
    FetchError,
    connection_error,
    has_image,
    retry_after,
    status_error,
)
from face_import.clients.underway import Underway
from face_import.clients.urls import target_of
from face_import.clients.validators import condition, validator_of
from face_import.clients.visit import Visit
from face_import.contract import Reason
from face_import.domain.data_uri import DataUriError, decode_data_uri
from face_import.domain.uri import scheme_of
from face_import.settings import Settings

_AT_ONCE = 2**20
"""Characters of a data URI that are decoded in the event loop; a longer one could hold it up beyond a lease's end."""

_STREAM = "a video stream ({}), not an image: use the camera's URL for a still image"


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

    Raises:
        ConfigError: a file that a setting names cannot be used.
    """

    def __init__(self, settings: Settings, wait: Wait = just_wait) -> None:
        self._timeout = settings.fetch_timeout_s
        self._connect_timeout = settings.fetch_connect_timeout_s
        self._settings = settings
        self._max_bytes = settings.max_image_bytes
        self._max_redirects = settings.fetch_max_redirects
        self._proxy = settings.fetch_proxy.get_secret_value() or None
        self._headers = HostHeaders(settings.fetch_headers_file)
        self._guard = AddressGuard(settings.fetch_allow)
        self._budget = ByteBudget(max(settings.max_bytes_in_flight, settings.max_image_bytes), wait)

    async def __aenter__(self) -> Self:
        """Open the connection pool; belongs to the running event loop."""
        self._session = aiohttp.ClientSession(
            connector=ImageConnector(self._settings, self._guard),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
            headers=HEADERS,
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @asynccontextmanager
    async def fetched(self, uri: str, visit: Visit | None = None) -> AsyncIterator[bytes]:
        """Fetch a URI and hold its bytes, counted against `max_bytes_in_flight`, for the block.

        The deadline `fetch_timeout_s` is suspended while the row waits for memory.

        Args:
            uri: http, https or data.
            visit: told about each request.

        Raises:
            TransientFetchError: another attempt may succeed.
            FetchError: the image could not be downloaded, or what came is no image; the text says why.
        """
        with self._budget.reservation() as held:
            yield (await self._fetched(uri, held, visit or Visit(), None)).data

    @asynccontextmanager
    async def fetched_if_changed(self, uri: str, validator: str, visit: Visit | None = None) -> AsyncIterator[Fetched]:
        """Fetch as `fetched` does, unless the host says that the bytes are still those of `validator` (304).

        Args:
            uri: http, https or data.
            validator: from an earlier answer for the same URI; empty fetches unconditionally.
            visit: told about each request.

        Raises:
            TransientFetchError: another attempt may succeed.
            FetchError: the image could not be downloaded, or what came is no image; the text says why.
        """
        with self._budget.reservation() as held:
            yield await self._fetched(uri, held, visit or Visit(), validator)

    async def fetch(self, uri: str) -> bytes:
        """Fetch a URI whose bytes need not be counted once they are there; see `fetched`."""
        async with self.fetched(uri) as data:
            return data

    async def _fetched(self, uri: str, held: Reservation, visit: Visit, validator: str | None) -> Fetched:
        if scheme_of(uri) == "data":
            return Fetched(await self._decoded(uri, held))
        sent = condition(validator) if validator else {}
        chain = Chain(target_of(uri), self._headers, self._max_redirects, sent, visit)
        row = Underway(chain, held, visit, validator)
        try:
            async with asyncio.timeout(self._timeout) as row.deadline:
                return await self._answer_of(row)
        except TimeoutError:
            raise row.timed_out(self._timeout) from None
        except FetchError as error:
            error.origin = str(chain.url.origin())
            raise
        finally:
            visit.ended()

    async def _decoded(self, uri: str, held: Reservation) -> bytes:
        await held.take(min(len(uri), self._max_bytes))
        try:
            if len(uri) <= _AT_ONCE:
                return decode_data_uri(uri, self._max_bytes)
            return await asyncio.to_thread(decode_data_uri, uri, self._max_bytes)
        except DataUriError as error:
            raise FetchError(str(error), Reason.INVALID_URI) from None

    async def _answer_of(self, row: Underway) -> Fetched:
        """Fetch; if the row's validator is None, the answer's own is not needed either."""
        try:
            async with await self._answer(row.chain, row.visit) as response:
                moved = row.chain.hops > 0
                if response.status == http.HTTPStatus.NOT_MODIFIED and row.validator and not moved:
                    return Fetched(b"", row.validator, unchanged=True)
                if not has_image(response.status):
                    raise status_error(
                        response.status, response.reason, retry_after(response.headers.get("Retry-After", ""))
                    )
                data = await self._read(response, row)
                # a validator says nothing about where the URI leads tomorrow
                return Fetched(data, "" if row.validator is None or moved else validator_of(response.headers))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise connection_error(error) from None

    async def _answer(self, chain: Chain, visit: Visit) -> aiohttp.ClientResponse:
        """Request a URI, and follow redirects to the final answer."""
        while True:
            visit.ask(chain.url)
            if self._proxy:
                await self._guard.check_host(chain.url.host or "")
            response = await self._session.get(
                chain.url, headers=chain.headers(), allow_redirects=False, proxy=self._proxy
            )
            try:
                visit.answered(chain.url, response.status, response.headers)
                if not chain.follow(response):
                    return response
            except BaseException:
                response.close()
                raise
            response.release()

    async def _read(self, response: aiohttp.ClientResponse, row: Underway) -> bytes:
        """Read the body, never holding more than was reserved for it."""
        headers, length = response.headers, response.content_length
        encodings = encodings_of(headers["Content-Encoding"]) if "Content-Encoding" in headers else ()
        room = self._max_bytes if length is None else length
        if room > self._max_bytes:
            raise FetchError(f"larger than {self._max_bytes} bytes", Reason.TOO_LARGE)
        await row.take(room + self._max_bytes if encodings else room)
        row.expected = length
        chunks: list[bytes] = []
        try:
            async for chunk in response.content.iter_any():
                row.came += len(chunk)
                if row.came > room:
                    raise FetchError(f"larger than {self._max_bytes} bytes", Reason.TOO_LARGE)
                if not chunks and begins_stream(chunk) and response.content_type.startswith("multipart/"):
                    raise FetchError(_STREAM.format(response.content_type), Reason.NOT_AN_IMAGE)
                chunks.append(chunk)
        except aiohttp.ClientError:
            if not is_whole(b"".join(chunks)):
                raise
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if encodings and not is_image(data):
            data = await asyncio.to_thread(undone, data, encodings, self._max_bytes)
        row.held.shrink(len(data))
        if not data:
            raise FetchError(f"{response.status} {(response.reason or '')[:100]}: no image in it", Reason.EMPTY)
        return data
