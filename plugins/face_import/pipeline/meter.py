"""What a try has done since it last said so: added up row by row, handed over about once a second."""

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
        unanswered: those of them that brought no usable answer.
        seconds: how long they took together.
        slowest: seconds of the one that took longest.
    """

    number: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


@dataclass(slots=True)
class Measured:
    """What happened between two hand-overs.

    Attributes:
        rows: rows that got into the ledger, by code.
        row_seconds: how long the rows that ended were under way, together. A second of it for each second that passes
            is one row under way: unlike a number of rows it can be added up over processes, and a process
            that dies leaves nothing behind.
        calls: by service.
        stop_seconds: how long rows under way delayed a try that was told to stop.
    """

    rows: Counter[Code] = field(default_factory=Counter)
    row_seconds: float = 0.0
    calls: dict[str, Calls] = field(default_factory=dict)
    stop_seconds: float | None = None


Observe = Callable[[Measured], None]


def unobserved(_measured: Measured) -> None:
    """No-op observer."""


class Meter:
    """Adds up for one try; used on its event loop only."""

    def __init__(self) -> None:
        self._now = Measured()

    async def timed(self, service: str, send: Callable[[], Awaitable[T]], unanswered: type[Exception]) -> T:
        """Send a request and note how long it took."""
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
        """Note a row that has ended."""
        self._now.row_seconds += seconds

    def take(self, written: Iterable[Outcome], stop_seconds: float | None = None) -> Measured:
        """What there is since the last time, with the outcomes that were just written; begins anew."""
        measured, self._now = self._now, Measured()
        measured.rows.update(outcome.code for outcome in written)
        measured.stop_seconds = stop_seconds
        return measured
