"""What the measurements of a ledger say: rows by code under other limits, and how a measurement is distributed.

Both read every row of a task once, in SQL: about as long as counting its rows by code takes.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, Integer, Select, case, cast, func, literal, select

from face_import.catalogue.engine import snapshot
from face_import.catalogue.progress import progress_of
from face_import.catalogue.schema import outcome
from face_import.contract import Code
from face_import.domain.limits import CHECKS, Check, Missing
from face_import.domain.models import Limits

UNMEASURED = -1
"""Verdict of a row that depends on a measurement that was not made."""
BY_LIMITS = {int(check.code) for check in CHECKS}
SPANS = {"pitch": (-180.0, 180.0), "yaw": (-180.0, 180.0), "roll": (-180.0, 180.0), "score": (0.0, 1.0)}
"""Bins of fractions share these; values beyond belong to the outermost ones."""
MOST_BLUR = 100


@dataclass(frozen=True, slots=True)
class Judged:
    """A task's handled rows under limits.

    Attributes:
        within: rows that break no limit.
        errors: rows by the code of the first limit that they break.
        unmeasured: rows whose verdict depends on a measurement that was not made.
        others: rows by code that failed for another reason, which limits do not change. The code of a limit is among
            them if the library refused the face for itself, within all limits of the task.
    """

    within: int
    errors: dict[int, int]
    unmeasured: int
    others: dict[int, int]

    @property
    def handled(self) -> int:
        """All of them."""
        return self.within + sum(self.errors.values()) + self.unmeasured + sum(self.others.values())


@dataclass(frozen=True, slots=True)
class Histogram:
    """How a measurement is distributed over the handled rows.

    Attributes:
        edges: bounds of the bins; a value on one belongs to the bin above, and the last one to the last bin.
        counts: rows of each bin, one less than edges.
        unmeasured: rows without this measurement.
    """

    edges: list[float]
    counts: list[int]
    unmeasured: int


def judged(engine: Engine, task_id: str, own: Limits, limits: Limits) -> Judged:
    """Judge a task's handled rows under limits, as `domain.limits.judge` does.

    Args:
        engine: engine of the catalogue.
        task_id: the task.
        own: the limits that its rows were handled under.
        limits: the limits to judge by.
    """
    with snapshot(engine).begin() as connection:
        handled = progress_of(connection, task_id).by_code
        refusable = sorted(BY_LIMITS & handled.keys())
        broken = [int(check.code) for check in CHECKS if getattr(limits, check.limit)]
        wanted = [UNMEASURED, *broken, *(-code for code in refusable)]
        verdicts = _verdicts(task_id, own, limits)
        # Grouped, SQLite would sort all rows. `offset` makes it compute each row's verdict once, not for each count.
        verdict = verdicts.offset(0).subquery().c.verdict
        found = connection.execute(select(*(func.count().filter(verdict == wish) for wish in wanted))).one()
    counts = dict(zip(wanted, map(int, found), strict=True))
    judgeable = sum(rows for code, rows in handled.items() if code == Code.OK or code in BY_LIMITS)
    others = {code: rows for code, rows in handled.items() if code != Code.OK and code not in BY_LIMITS}
    others |= {code: counts[-code] for code in refusable}
    return Judged(
        judgeable - sum(counts.values()),
        _present({code: counts[code] for code in broken}),
        counts[UNMEASURED],
        _present(others),
    )


def histogram(engine: Engine, task_id: str, of: str, bins: int) -> Histogram:
    """The distribution of a measurement over a task's handled rows.

    Args:
        engine: engine of the catalogue.
        task_id: the task.
        of: name of the measurement.
        bins: number of bins; fewer for whole numbers, whose bins are 1 or a multiple of it wide.
    """
    value: ColumnElement[float] = outcome.c[of]
    span = SPANS.get(of)
    group = value if span is None else case((value.is_not(None), _bin_of(value, span, bins)))
    if span is not None and engine.dialect.name != "sqlite":
        group = cast(func.floor(group), Integer)
    elif span is not None:
        group = cast(group, Integer)  # nothing is negative, so that cutting off is rounding down
    query = select(group, func.count()).where(outcome.c.task_id == task_id).group_by(group)
    rows: dict[int, int] = {}
    unmeasured = 0
    with snapshot(engine).begin() as connection:
        for key, count in connection.execute(query):
            if key is None:
                unmeasured = count
            else:
                rows[key] = count
    if span is None:
        return _whole(rows, bins, unmeasured, (0, MOST_BLUR) if of == "blur" else None)
    counts: Counter[int] = Counter()
    for number, count in rows.items():
        counts[min(number, bins - 1)] += count
    low, high = span
    edges = [low + (high - low) * n / bins for n in range(bins + 1)]
    return Histogram(edges, [counts[n] for n in range(bins)], unmeasured)


def _whole(rows: Mapping[int, int], bins: int, unmeasured: int, span: tuple[int, int] | None) -> Histogram:
    """Bins of whole numbers, from the smallest to the largest one, or over a span if there is one."""
    if not rows and span is None:
        return Histogram([], [], unmeasured)
    low, high = span or (min(rows), max(rows))
    step = -(-(high - low + 1) // bins)
    number = -(-(high - low + 1) // step)
    counts = Counter({0: 0})
    for value, count in rows.items():
        counts[(value - low) // step] += count
    return Histogram([low + step * n for n in range(number + 1)], [counts[n] for n in range(number)], unmeasured)


def _bin_of(value: ColumnElement[float], span: tuple[float, float], bins: int) -> ColumnElement[float]:
    low, high = span
    return case((value < low, 0.0), (value >= high, float(bins - 1)), else_=(value - low) * (bins / (high - low)))


def _verdicts(task_id: str, own: Limits, limits: Limits) -> Select[tuple[int]]:
    """Verdict of each row: 0, a limit's code, `UNMEASURED`; minus its code if the library refused it; or null.

    A row with a limit's code that is within the task's own limits was refused by the library.
    """
    under = verdict_of(limits)
    refused = case((verdict_of(own) == Code.OK, -outcome.c.code), else_=under)
    verdict = case((outcome.c.code == Code.OK, under), (outcome.c.code.in_(BY_LIMITS), refused), else_=None)
    return select(verdict.label("verdict")).where(outcome.c.task_id == task_id)


def verdict_of(limits: Limits) -> ColumnElement[int]:
    """`domain.limits.judge` of a row of the ledger in SQL: 0, a limit's code, or `UNMEASURED`."""
    found: list[tuple[ColumnElement[bool], int]] = []
    for check in CHECKS:
        limit = getattr(limits, check.limit)
        if not limit:
            continue
        value = outcome.c[check.of]
        found.append((_breaks(check, value, limit), int(check.code)))
        if check.kind is Missing.POSE:
            found.append((value.is_(None) & outcome.c.pose_unknown, int(check.code)))
        found.append((value.is_(None), UNMEASURED))
    return case(*found, else_=int(Code.OK)) if found else literal(int(Code.OK))


def _breaks(check: Check, value: ColumnElement[float], limit: int) -> ColumnElement[bool]:
    match check.kind:
        case Missing.SIZE:
            return value < limit
        case Missing.POSE:
            return ~value.between(-limit, limit)
        case Missing.COUNT | Missing.BLUR:
            return value > limit


def _present(rows: Mapping[int, int]) -> dict[int, int]:
    return {code: count for code, count in sorted(rows.items()) if count}
