"""Benchmark figures, their targets, and the table of them."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.saying import say

CHECKOUT = Path(__file__).resolve().parents[1]
RESULTS = CHECKOUT / "bench" / "results.json"
PAGE = CHECKOUT / "docs" / "explanation" / "performance.md"
PAIRS = 5
_TABLE = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure against its target.

    Attributes:
        row: number of the target's row.
        what: what was measured, and against what.
        value: the median of the samples; None if it could not be measured.
        target: the target value.
        at_least: whether more is better.
        unit: empty for a ratio.
        samples: the measured values.
        note: absolute numbers, or why there are none.
    """

    row: int
    what: str
    value: float | None
    target: float
    at_least: bool
    unit: str = ""
    samples: tuple[float, ...] = ()
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether it was measured and meets its target."""
        if self.value is None:
            return False
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return "not measured" if self.value is None else f"{_number(self.value)} {self.unit}".strip()

    @property
    def bound(self) -> str:
        """The target with its direction and unit."""
        return f"{'≥' if self.at_least else '≤'} {_number(self.target)} {self.unit}".strip()


def at_least(row: int, what: str, target: float, samples: Sequence[float], **more: str) -> Figure:
    """The median of samples that should be no less than the target."""
    return Figure(row, what, median(samples), target, at_least=True, samples=tuple(samples), **more)


def at_most(row: int, what: str, target: float, samples: Sequence[float], **more: str) -> Figure:
    """The median of samples that should be no more than the target."""
    return Figure(row, what, median(samples), target, at_least=False, samples=tuple(samples), **more)


def pairs(ours: Callable[[], float], peer: Callable[[], float], count: int = PAIRS) -> list[tuple[float, float]]:
    """Measure both alternately, so that other load affects both; each pair starts with the other."""
    measured = []
    for number in range(count):
        say(f"sample {number + 1} of {count}")
        if number % 2:
            second, first = peer(), ours()
        else:
            first, second = ours(), peer()
        measured.append((first, second))
    return measured


def ratios(measured: Sequence[tuple[float, float]]) -> list[float]:
    """First of each pair divided by the second."""
    return [first / second for first, second in measured]


def load() -> list[Figure]:
    """The figures of the last run, if any."""
    if not RESULTS.exists():
        return []
    return [Figure(**_fields(entry)) for entry in json.loads(RESULTS.read_text())["figures"]]


def save(figures: Sequence[Figure], machine: str, seconds: float) -> None:
    """Write figures to `results.json` and docs/explanation/performance.md; rows not measured now are kept."""
    measured = {figure.row for figure in figures}
    kept = [figure for figure in load() if figure.row not in measured]
    both = sorted([*kept, *figures], key=lambda figure: figure.row)
    entries = [{**_rounded(asdict(figure)), "met": figure.met} for figure in both]
    document = {"machine": machine, "seconds": round(seconds), "figures": entries}
    RESULTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    lines = ["| row | what | measured | target | | details |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {f.row} | {f.what} | {f.shown} | {f.bound} | {'met' if f.met else '**missed**'} | {f.note} |" for f in both
    ]
    table = "\n".join(lines)
    PAGE.write_text(_TABLE.sub(lambda found: f"{found[1]}{machine}\n\n{table}\n{found[2]}", PAGE.read_text()))


def _fields(entry: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in entry.items() if name != "met"}, "samples": tuple(entry["samples"])}


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    value = fields["value"]
    samples = [float(f"{sample:.4g}") for sample in fields["samples"]]
    return {**fields, "value": None if value is None else float(f"{value:.4g}"), "samples": samples}


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
