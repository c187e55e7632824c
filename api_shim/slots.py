"""Bounds requests that may wait for their clients, so that control requests always find a thread (ADR 22).

Counting in memory is enough: one process serves the API.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from threading import BoundedSemaphore, Semaphore

from flask import Flask, g

from face_import.errors import Busy


class Slots:
    """A maximum number of concurrent requests of one kind.

    Args:
        number: the maximum.
        what: name of the kind, for error messages.
    """

    def __init__(self, number: int, what: str) -> None:
        self.number = number
        self._what = what
        self._free = BoundedSemaphore(number)

    def take(self) -> None:
        """Take a slot until the request has been handled.

        Raises:
            Busy: all slots are taken.
        """
        self._take()
        if "slots" not in g:
            g.slots = ExitStack()
        g.slots.callback(self._free.release)

    def sending(self, pieces: Iterator[str]) -> Iterator[str]:
        """Yield the pieces, holding a slot from now until they are sent or abandoned: a request ends before that.

        Raises:
            Busy: all slots are taken.
        """
        sent = self._sending(pieces)
        next(sent)  # once started, the generator always releases its slot
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
            raise Busy(f"{self.number} {self._what} are in progress, the maximum; try again later")


UPLOADS = Slots(64, "uploads")
FORMS = Slots(16, "requests with a long or chunked body")
"""Requests with a login form need no key, so anybody can take these slots."""
DOWNLOADS = Slots(32, "downloads of logs or rows")
EVENTS = Slots(32, "live streams of events")
SEARCHES = Slots(4, "searches by picture")
"""Each may have a picture in memory, as it came and decoded, and waits for the face services."""
SIZES = Slots(4, "questions for the size of a group")
"""A page waits some seconds for one, so a library that hangs must not take all threads."""
INTAKE = Semaphore(16)
"""So many received uploads are ingested at a time, since that takes memory; the others wait."""


def register(app: Flask) -> None:
    """Release slots when requests end."""

    @app.teardown_request
    def give_back(_error: BaseException | None) -> None:
        g.pop("slots", ExitStack()).close()
