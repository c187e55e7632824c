"""Calls a user's URL under the same address rules as images; nothing of the answer but its head is read."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from face_import.clients.addresses import AddressGuard
from face_import.clients.connector import ImageConnector
from face_import.clients.transfer import MAX_HEADER_BYTES, FetchError, connection_error, retry_after
from face_import.clients.urls import target_of
from face_import.contract import MAX_CALLBACK_URL, Reason
from face_import.domain.uri import scheme_of
from face_import.errors import InvalidRequest
from face_import.settings import Settings

_MOST_SHOWN = 100


class Answer(NamedTuple):
    """The head of an answer.

    Attributes:
        text: status and reason phrase.
        retry_after: seconds that the host asks to wait, if it does.
    """

    status: int
    text: str
    retry_after: float | None


def check_callback_url(url: str) -> None:
    """Check the form of a URL, which may be empty; its address is checked whenever it is called.

    Raises:
        InvalidRequest: it leads nowhere; says why, and not what is in it.
    """
    if not url:
        return
    if len(url) > MAX_CALLBACK_URL:
        raise _refusal(f"a URL of {len(url)} characters, more than {MAX_CALLBACK_URL}")
    if scheme_of(url) not in {"http", "https"}:
        raise _refusal("must be an http:// or https:// URL")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise _refusal("contains a space or a control character; percent-encode it")
    try:
        target_of(url)
        urlsplit(url)
    except FetchError as error:
        raise _refusal(str(error)) from None
    except ValueError:  # its text would quote the login
        raise _refusal("malformed; percent-encode the login and all else that is not ASCII") from None


def _refusal(why: str) -> InvalidRequest:
    return InvalidRequest(f"callback_url: {why}", field="callback_url")


async def post(url: str, body: bytes, headers: Mapping[str, str], settings: Settings, deadline_s: float) -> Answer:
    """Send a POST to a checked address, on a connection of its own; redirects are not followed.

    Headers that are configured for image hosts are not sent: a user's URL must not put the operator's login to use.

    Args:
        url: http or https, checked by `check_callback_url`.
        body: what to send.
        headers: beyond those of every request.
        settings: allowed addresses, proxy, private CA.
        deadline_s: until the head of the answer is there.

    Raises:
        FetchError: no answer; says why.
        OSError: this machine is out of something.
        ConfigError: the file of the private CA cannot be used.
    """
    target, guard = target_of(url), AddressGuard(settings.fetch_allow)
    proxy = settings.fetch_proxy.get_secret_value() or None
    login = {"Authorization": target.login} if target.login else {}
    try:
        async with (
            asyncio.timeout(deadline_s),
            aiohttp.ClientSession(
                connector=ImageConnector(settings, guard),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.fetch_connect_timeout_s),
                headers={"User-Agent": "face-import", "Accept-Encoding": "identity"},
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                trust_env=False,
            ) as session,
        ):
            if proxy:
                await guard.check_host(target.url.host or "")
            request = session.post(
                target.url, data=body, headers={**headers, **login}, allow_redirects=False, proxy=proxy
            )
            async with request as response:
                text = f"{response.status} {response.reason or ''}".strip()[:_MOST_SHOWN]
                return Answer(response.status, text, retry_after(response.headers.get("Retry-After", "")))
    except TimeoutError as error:
        if isinstance(error, aiohttp.ClientError):
            raise connection_error(error) from None
        raise FetchError(f"no answer within {deadline_s:g} s", Reason.TIMEOUT) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise connection_error(error) from None
