"""A row's way through redirects: where it stands, and what each host on it gets to see."""

import re
from collections.abc import Mapping

import aiohttp

from face_import.clients.hosts import HostHeaders
from face_import.clients.transfer import FetchError
from face_import.clients.urls import Target, redirected
from face_import.clients.visit import Visit
from face_import.contract import Reason

_REDIRECTS = {301, 302, 303, 307, 308}
_EPOCH = re.compile(r"expires=\s*\w{3}, 01[ -]jan[ -]1970 00:00:00 gmt", re.IGNORECASE)
"""The date with which most hosts delete a cookie; aiohttp takes this very second for no date."""


class Chain:
    """Requests for one URI.

    Args:
        start: where the URI leads.
        configured: headers by host.
        most: redirects that are followed.
        condition: headers that concern the URI's own host only.
        visit: keeps the cookies.

    Attributes:
        url: what to request next.
        hops: redirects so far.
    """

    def __init__(
        self, start: Target, configured: HostHeaders, most: int, condition: Mapping[str, str], visit: Visit
    ) -> None:
        self._configured = configured
        self._most = most
        self._condition = condition
        self._visit = visit
        self.url, self._login = start
        self.hops = 0

    def headers(self) -> dict[str, str]:
        """Return what the next request has besides the headers of all requests."""
        headers = self._configured.of(self.url)
        if self._login:
            headers["Authorization"] = self._login
        if self._visit.cookies is not None:
            cookies = self._visit.cookies.filter_cookies(self.url)
            pairs = [headers.get("Cookie", ""), *(f"{name}={morsel.coded_value}" for name, morsel in cookies.items())]
            if cookies:
                headers["Cookie"] = "; ".join(filter(None, pairs))
        if self._condition and not self.hops:
            headers.update(self._condition)
        return headers

    def follow(self, response: aiohttp.ClientResponse) -> bool:
        """Move to where an answer leads; False if it is the final one.

        Raises:
            FetchError: it leads nowhere, or too far.
        """
        status, headers = response.status, response.headers
        if cookies := headers.getall("Set-Cookie", ()):
            jar = self._visit.cookies
            if jar is None:
                jar = self._visit.cookies = aiohttp.CookieJar(unsafe=True, quote_cookie=False)  # unsafe: numeric hosts
            jar.update_cookies_from_headers([_EPOCH.sub("Max-Age=0", cookie) for cookie in cookies], self.url)
        if status not in _REDIRECTS:
            return False
        location = headers.get("Location", "")
        if not location:
            raise FetchError(f"{status} without a Location: a redirect to nowhere", Reason.REDIRECTS)
        if self.hops == self._most:
            raise FetchError(f"more than {self._most} redirects", Reason.REDIRECTS)
        url, login = redirected(self.url, location)
        if not login and url.origin() == self.url.origin():
            login = self._login
        self.url, self._login = url, login
        self.hops += 1
        return True
