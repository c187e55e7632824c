"""Throughput over time as bars: counted here, drawn as SVG by the template."""

import time
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

from face_import.catalogue.reports import Handled

BARS = 60
PAUSE_S = 60.0
SHORTEST_S = 3.0
"""Shorter than this, there is too little to chart."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of processing time.

    Attributes:
        start: its beginning, seconds since the epoch.
        rate: rows per second.
        pause: seconds of pause omitted within it.
    """

    start: float
    rate: float
    pause: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Rows per second over the processing time.

    Attributes:
        width: seconds of one bar.
        exact: whether all rows were counted, rather than a sample.
    """

    bars: list[Bar]
    width: float
    peak: float
    mean: float
    exact: bool

    @property
    def span(self) -> float:
        """Seconds of processing."""
        return self.width * len(self.bars)


def throughput(handled: Handled, rows: int) -> Throughput | None:
    """Count rows by time; None if there is too little of it for a chart.

    Long pauses (the import was stopped) are omitted; otherwise a weekend's pause would squeeze an hour's work into
    one bar.

    Args:
        handled: when rows were handled.
        rows: how many were handled in all; `handled` may be a sample of them.
    """
    times = handled.times
    if len(times) < 2:
        return None
    longest = max(PAUSE_S, 20 * (times[-1] - times[0]) / len(times))
    gaps = [after - before for before, after in pairwise(times)]
    pauses = [gap if gap > longest else 0.0 for gap in gaps]
    span = times[-1] - times[0] - sum(pauses)
    if span < SHORTEST_S:
        return None
    count = min(BARS, int(span))  # not finer than a second: rows reach the ledger in batches of about one
    width = span / count
    rows_in, paused, starts = [0] * count, [0.0] * count, [0.0] * count
    at = 0.0
    for moment, gap, pause in zip(times, (0.0, *gaps), (0.0, *pauses), strict=True):
        at += gap - pause
        bar = min(count - 1, int(at / width))
        rows_in[bar] += 1
        paused[bar] += pause
        starts[bar] = starts[bar] or moment
    weight = rows / len(times) / width
    rates = [n * weight for n in rows_in]
    starts = _filled(starts, width)
    bars = [Bar(*values) for values in zip(starts, rates, paused, strict=True)]
    return Throughput(bars, width, max(rates), rows / (width * count), handled.step == 1)


def _filled(starts: list[float], width: float) -> list[float]:
    """Fill in the start times of bars without rows, from the bar before."""
    for index, start in enumerate(starts):
        if not start:
            starts[index] = starts[index - 1] + width
    return starts


WINDOW_S = 15.0
MIN_SPAN_S = 1.5
MOST_TASKS = 500


class Rates:
    """Rows per second over the last seconds, for tasks that are being viewed.

    A task's start time says nothing about its rate: it may have been stopped in between, and rows of earlier attempts
    count as handled. So the rate is measured between two views, and the first view has none.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], deque[tuple[float, int]]] = {}
        self._lock = Lock()

    def rate(self, task_id: str, attempt: int, handled: int, now: float | None = None) -> float | None:
        """Record the number of handled rows, and return rows per second, or None if not known yet.

        Args:
            task_id: a running task.
            attempt: its attempt; each is measured separately.
            handled: its rows with an outcome.
            now: the time in seconds, of any monotonic clock.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            samples = self._seen.pop((task_id, attempt), None) or deque()
            self._seen[task_id, attempt] = samples  # most recently viewed last: evicted last
            while len(self._seen) > MOST_TASKS:
                self._seen.pop(next(iter(self._seen)))
            if not samples or now - samples[-1][0] >= 0.5:
                samples.append((now, handled))
            while len(samples) > 2 and samples[1][0] <= now - WINDOW_S:
                samples.popleft()
            if now - samples[0][0] > 2 * WINDOW_S and len(samples) == 2:
                samples.popleft()  # not viewed for long: an average over that is not the current rate
            since, before = samples[0]
        if now - since < MIN_SPAN_S:
            return None
        return max(0, handled - before) / (now - since)
