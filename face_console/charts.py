"""Throughput over time as bars: counted here, drawn as SVG by the template."""

from dataclasses import dataclass
from itertools import pairwise

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
    for time, gap, pause in zip(times, (0.0, *gaps), (0.0, *pauses), strict=True):
        at += gap - pause
        bar = min(count - 1, int(at / width))
        rows_in[bar] += 1
        paused[bar] += pause
        starts[bar] = starts[bar] or time
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
