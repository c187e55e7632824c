"""Requests that wait for their clients have places: however many come, control finds a thread (ADR 22).

One process serves the API, so its memory is the place to count.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from threading import BoundedSemaphore, Semaphore
from types import MappingProxyType

from flask import Flask, g

from face_import.errors import RequestError


class Busy(RequestError):
    """As many of its kind are under way as there are places."""

    status = 503
    code = "busy"
    headers = MappingProxyType({"Retry-After": "5"})


class Places:
    """How many requests of a kind are under way at most.

    Args:
        number: so many.
        what: they are, for the text of a refusal.
    """

    def __init__(self, number: int, what: str) -> None:
        self.number = number
        self._what = what
        self._free = BoundedSemaphore(number)

    def take(self) -> None:
        """Take one until the request has been handled.

        Raises:
            Busy: there is none.
        """
        self._take()
        if "places" not in g:
            g.places = ExitStack()
        g.places.callback(self._free.release)

    def sending(self, pieces: Iterator[str]) -> Iterator[str]:
        """The same pieces, with a place taken now, until they are sent or given up: requests are over before that.

        Raises:
            Busy: there is none.
        """
        sent = self._sending(pieces)
        next(sent)  # one that has begun gives its place back, whatever becomes of it
        return sent

    def _sending(self, pieces: Iterator[str]) -> Iterator[str]:
        self._take()
        try:
            yield ""
            yield from pieces
        finally:
            self._free.release()

    def _take(self) -> None:
        if not self._free.acquire(blocking=False):
            raise Busy(f"{self.number} {self._what} are under way, as many as are taken at once; try again later")


UPLOADS = Places(64, "uploads")
FORMS = Places(16, "requests with a long or chunked body")
"""Of these anybody can send some: they need no key where a login form may come."""
DOWNLOADS = Places(32, "downloads of logs")
INTAKE = Semaphore(16)
"""Of the uploads that are here so many are read at once, for that takes memory; the others wait for each other."""


def register(app: Flask) -> None:
    """Give places back when requests end."""

    @app.teardown_request
    def give_back(_error: BaseException | None) -> None:
        g.pop("places", ExitStack()).close()
