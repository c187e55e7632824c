"""Metrics of a try: summed row by row, reported about once a second."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from face_import.contract import Code
from face_import.domain.models import Outcome

T = TypeVar("T")


@dataclass(slots=True)
class Calls:
    """Requests to one service.

    Attributes:
        number: how many were answered or given up.
        unanswered: those of them without a usable answer.
        seconds: how long they took in total.
        slowest: seconds that the slowest one took.
    """

    number: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


@dataclass(slots=True)
class Measured:
    """What happened between two reports.

    Attributes:
        rows: rows written to the ledger, by code.
        row_seconds: how long the rows that ended took in total. One second of it per second means one row in
            progress: unlike a number of rows it can be summed over processes, and a process that dies leaves
            nothing behind.
        calls: by service.
        stop_seconds: how long rows in progress delayed a try that was told to stop.
    """

    rows: Counter[Code] = field(default_factory=Counter)
    row_seconds: float = 0.0
    calls: dict[str, Calls] = field(default_factory=dict)
    stop_seconds: float | None = None


Observe = Callable[[Measured], None]


def unobserved(_measured: Measured) -> None:
    """No-op observer."""


class Meter:
    """Sums the metrics of one try; used on its event loop only."""

    def __init__(self) -> None:
        self._now = Measured()

    async def timed(self, service: str, send: Callable[[], Awaitable[T]], unanswered: type[Exception]) -> T:
        """Send a request and record how long it took."""
        began, unanswered_calls = time.monotonic(), 0
        try:
            return await send()
        except unanswered:
            unanswered_calls = 1
            raise
        finally:
            took = time.monotonic() - began
            calls = self._now.calls.setdefault(service, Calls())
            calls.number += 1
            calls.unanswered += unanswered_calls
            calls.seconds += took
            calls.slowest = max(calls.slowest, took)

    def row_took(self, seconds: float) -> None:
        """Record a row that has ended."""
        self._now.row_seconds += seconds

    def take(self, written: Iterable[Outcome], stop_seconds: float | None = None) -> Measured:
        """Return what was measured since the last call, with the outcomes just written, and start from zero."""
        measured, self._now = self._now, Measured()
        measured.rows.update(outcome.code for outcome in written)
        measured.stop_seconds = stop_seconds
        return measured
