"""A row's visit to image hosts: the fetcher says where it goes, and somebody else may have reasons to say no."""

from collections.abc import Mapping

import aiohttp
from yarl import URL


class Visit:
    """A visit that nobody restricts.

    Attributes:
        cookies: of the hosts; kept for the next attempt if the visit is used again.
    """

    cookies: aiohttp.CookieJar | None = None

    def ask(self, url: URL) -> None:
        """Called before each request; may raise to prevent it."""

    def answered(self, url: URL, status: int, headers: Mapping[str, str]) -> None:
        """Called with the head of each answer."""

    def ended(self) -> None:
        """Called when no further request follows."""
