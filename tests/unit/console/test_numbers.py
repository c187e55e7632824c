"""Speed and throughput: what is said of them is true, and nothing is said where nobody knows."""

import pytest

from face_console.charts import BARS, Rates, throughput
from face_import.catalogue import Catalogue
from face_import.catalogue.reports import SAMPLES, Handled, Overview
from face_import.contract import Code
from face_import.domain.models import Outcome, OutcomeBatch
from tests.conftest import MakeTask


def test_speed_is_unknown_at_the_first_look() -> None:
    """Rows of earlier attempts are no speed, and a moment is too short for one."""
    rates = Rates()
    assert rates.rate("a", 1, 5000, now=100.0) is None
    assert rates.rate("a", 1, 5001, now=100.6) is None
    assert rates.rate("a", 1, 5020, now=102.0) == pytest.approx(10)


def test_speed_is_that_of_the_last_seconds() -> None:
    """An import that has become slower is shown as slow soon; another attempt begins anew."""
    rates = Rates()
    for second in range(60):
        rates.rate("a", 1, min(second, 30) * 100, now=float(second))
    assert rates.rate("a", 1, 3000, now=60.0) == 0
    assert rates.rate("a", 2, 3000, now=61.0) is None


def test_speed_after_nobody_looked_is_measured_anew() -> None:
    """An average over an hour of absence is not the present."""
    rates = Rates()
    rates.rate("a", 1, 0, now=0.0)
    assert rates.rate("a", 1, 36000, now=3600.0) is None


def test_throughput_counts_every_row() -> None:
    """Bars and their widths give the rows back."""
    chart = throughput(Handled([second / 10 for second in range(1200)], 1), 1200)
    assert chart is not None
    assert len(chart.bars) == BARS
    assert sum(bar.rate * chart.width for bar in chart.bars) == pytest.approx(1200)
    assert chart.mean == pytest.approx(10, rel=0.01)


def test_pauses_are_left_out_and_marked() -> None:
    """A night between two minutes of work leaves two minutes."""
    work = [second / 10 for second in range(600)]
    chart = throughput(Handled(work + [40_000 + second for second in work], 1), 1200)
    assert chart is not None
    assert chart.span == pytest.approx(120, rel=0.05)
    assert [bar.pause > 0 for bar in chart.bars].count(True) == 1
    assert chart.mean == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 1.1, 1.2], [5.0] * 100])
def test_too_little_makes_no_chart(times: list[float]) -> None:
    """An import of a second has no course."""
    assert throughput(Handled(times, 1), len(times)) is None


def test_a_sample_stands_for_all_rows(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Of many rows every so many is looked up, of few all are."""
    task = make_task(rows=2 * SAMPLES + 1)
    catalogue.leases.take(task.id, 0, "me", 10)
    rows = tuple(Outcome(n, "http://x", Code.OK) for n in range(1, 2 * SAMPLES + 2))
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", rows))
    overview = Overview(catalogue.engine)
    sample = overview.handled(task.id, 2 * SAMPLES + 1)
    assert (sample.step, len(sample.times)) == (3, (2 * SAMPLES + 1 + 2) // 3)
    few = make_task(rows=100)
    catalogue.leases.take(few.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(few.id, 0, "me", rows[:100]))
    sample = overview.handled(few.id, 100)
    assert (sample.step, len(sample.times)) == (1, 100)
