"""Bars of measurements: how far a chart reaches, how wide its bars are, and where a limit's line is."""

from collections.abc import Sequence

import pytest

from face_console.distributions import MOST_BARS, Distribution, charted
from face_import.domain.limits import CHECKS

BY_LIMIT = {check.limit: check for check in CHECKS}
Values = Sequence[tuple[float, int]]


def chart(name: str, values: Values, limit: int = 0) -> Distribution:
    """The chart of a limit's measurement; two rows are not measured."""
    return charted(BY_LIMIT[name], values, 2, limit)


def drawn(seen: Distribution) -> list[tuple[float, int]]:
    """The bars, with their rows."""
    return [(bar.start, round(bar.height * seen.peak)) for bar in seen.bars]


@pytest.mark.parametrize(
    ("name", "values", "top", "bars"),
    [
        ("pos_yaw", [(0.0, 5), (9.0, 5)], 10, [(0, 5), (9, 5)]),
        ("width", [(40, 3), (41, 2), (79, 4)], 80, [(40, 5), (78, 4)]),
        ("blur_degree", [(0, 1), (100, 1)], 100, [(0, 1), (95, 1)]),
        ("pos_rol", [(179.0, 7)], 180, [(175, 7)]),
    ],
)
def test_bars_are_as_wide_as_a_round_number(name: str, values: Values, top: int, bars: list[tuple[float, int]]) -> None:
    """All rows are in one of at most 40 bars, and a chart never ends beyond the largest possible limit."""
    seen = chart(name, values)
    assert (seen.top, drawn(seen)) == (top, bars)
    assert seen.top / seen.width <= MOST_BARS
    assert (seen.rows, seen.unmeasured) == (sum(rows for _, rows in values), 2)


def test_a_few_large_faces_are_in_the_last_bar() -> None:
    """One in a hundred rows beyond does not squeeze all others; a limit beyond is still shown, an absurd one is not."""
    values = [(100, 995), (9000, 5)]
    seen = chart("height", values)
    assert seen.top < 200
    assert seen.beyond == 5
    assert sum(rows for _, rows in drawn(seen)) == 1000
    assert chart("height", values, 150).top >= 150
    assert chart("height", values, 100_000).top < 300


def test_the_median_splits_the_rows() -> None:
    """Half of the rows do not exceed it."""
    assert chart("width", [(50, 2), (60, 1), (70, 3)]).median == 60


@pytest.mark.parametrize(
    ("name", "limit", "edge"), [("width", 0, 0), ("width", 60, 60), ("pos_yaw", 0, 80), ("pos_yaw", 90, 80)]
)
def test_no_limit_is_where_it_refuses_nothing(name: str, limit: int, edge: int) -> None:
    """A least size at the beginning, a largest angle at the end; a limit beyond the chart is at its end."""
    assert chart(name, [(79, 10)]).edge(limit) == edge


def test_without_measurements_there_is_no_chart() -> None:
    """Nothing to draw, and nothing divided by zero."""
    assert (chart("pos_yaw", [], 30).bars, chart("pos_yaw", []).top) == ([], 0)
