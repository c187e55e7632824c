"""What a row of the bench comes to: a figure, its target, and the samples behind it."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Result:
    """One figure against its target.

    Attributes:
        row: number of the row in the table of targets, with a word where a row has several figures.
        what: what was measured.
        samples: one for each pair; the figure is their median.
        target: what the figure has to reach, or may not exceed.
        at_least: whether more is better.
        unit: of figure and target; a ratio has none.
        note: what a reader has to know, for example that something could not be measured.
    """

    row: str
    what: str
    samples: tuple[float, ...]
    target: float
    at_least: bool = True
    unit: str = ""
    note: str = ""

    @property
    def value(self) -> float | None:
        """The median of the samples, or None where nothing could be measured."""
        return median(self.samples) if self.samples else None

    @property
    def met(self) -> bool:
        """Whether the figure reaches its target."""
        value = self.value
        return value is not None and (value >= self.target if self.at_least else value <= self.target)
