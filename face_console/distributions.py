"""How measurements are distributed: the bars of a chart with a limit's line, which a template draws as SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count

from sqlalchemy import Engine

from face_import.catalogue import measured
from face_import.catalogue.measured import Histogram
from face_import.domain.limits import CHECKS, Check, Missing
from face_import.domain.models import LIMITS, Limit, Limits

MOST_BARS = 40
SHOWN_SHARE = 0.99
"""Share of the rows that a chart reaches; the others are in its last bar, for a few large faces would squeeze it."""
_BINS = {Missing.COUNT: 1000, Missing.SIZE: 1000, Missing.POSE: 360, Missing.BLUR: 1000}
_CHECKS = {check.limit: check for check in CHECKS}


@dataclass(frozen=True, slots=True)
class Bar:
    """Rows with values from `start` on; `height` is relative to the highest bar, 0 to 1."""

    start: float
    height: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution of the measurement that a limit is on, angles by magnitude.

    Attributes:
        name: the limit's name.
        least: whether the limit is the least allowed value, rather than the largest.
        top: the value at which the chart ends; 0 if nothing is measured.
        width: difference of the values of a bar.
        peak: rows of the highest bar.
        beyond: rows with higher values than the chart shows, in its last bar.
        rows: measured rows.
        median: the value that half of them do not exceed, as far as the bins of the query tell.
        unmeasured: handled rows without this measurement.
    """

    name: str
    limit: Limit
    least: bool
    top: int
    width: int
    bars: list[Bar]
    peak: int
    beyond: int
    rows: int
    median: float
    unmeasured: int

    def edge(self, value: int) -> int:
        """Where the line of a limit is; that of no limit is at the end where it refuses nothing."""
        return min(value, self.top) if value or self.least else self.top


def distributions(engine: Engine, task_id: str, limits: Limits) -> list[Distribution]:
    """Those of all limits, in their order; charts reach as far as the task's own limits, unless these are absurd."""
    return [_distribution(engine, task_id, _CHECKS[name], getattr(limits, name)) for name in LIMITS]


def _distribution(engine: Engine, task_id: str, check: Check, limit: int) -> Distribution:
    found = measured.histogram(engine, task_id, check.of, _BINS[check.kind])
    values = list(_magnitudes(found) if check.kind is Missing.POSE else zip(found.edges, found.counts, strict=False))
    return charted(check, values, found.unmeasured, limit)


def charted(check: Check, values: Sequence[tuple[float, int]], unmeasured: int, limit: int) -> Distribution:
    """The chart of a measurement.

    Args:
        check: the limit that it is for.
        values: values of a row in ascending order, and the number of rows with it.
        unmeasured: rows without the measurement.
        limit: the task's own limit.
    """
    rows = sum(number for _, number in values)
    least, described = check.kind is Missing.SIZE, LIMITS[check.limit]
    if not rows:
        return Distribution(check.limit, described, least, 0, 1, [], 0, 0, 0, 0.0, unmeasured)
    reach = _quantile(values, rows, SHOWN_SHARE) + 1
    reach = max(reach, min(limit, 2 * reach))
    width = next(step for step in _steps() if step * MOST_BARS >= reach)
    top = int(min(-(-reach // (2 * width)) * 2 * width, -(-described.most // width) * width))
    counts = [0] * (top // width)
    for value, number in values:
        counts[min(int(value // width), len(counts) - 1)] += number
    bars = [Bar(width * n, number / max(counts)) for n, number in enumerate(counts) if number]
    beyond = sum(number for value, number in values if value > top)
    median = _quantile(values, rows, 0.5)
    return Distribution(check.limit, described, least, top, width, bars, max(counts), beyond, rows, median, unmeasured)


def _magnitudes(found: Histogram) -> Iterator[tuple[float, int]]:
    """Bins of angles by magnitude: those to the left and to the right together."""
    half = len(found.counts) // 2
    right, left = found.counts[half:], reversed(found.counts[:half])
    yield from zip(found.edges[half:], map(sum, zip(right, left, strict=True)), strict=False)


def _quantile(values: Sequence[tuple[float, int]], rows: int, share: float) -> float:
    """The value that this share of the rows does not exceed."""
    sums = accumulate(number for _, number in values)
    return next(value for (value, _), below in zip(values, sums, strict=True) if below >= share * rows)


def _steps() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50 and so on: what a bar may be wide, so that an axis has round numbers."""
    for exponent in count():
        yield from (1 * 10**exponent, 2 * 10**exponent, 5 * 10**exponent)
