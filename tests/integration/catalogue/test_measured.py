"""The ledger judged and counted in SQL, against `judge` and numpy, on SQLite and PostgreSQL."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from face_import.catalogue import Catalogue
from face_import.catalogue.engine import migrate
from face_import.catalogue.measured import MOST_BLUR, SPANS, Judged, histogram, judged
from face_import.contract import Code, Reason
from face_import.domain.limits import Missing, judge
from face_import.domain.models import Limits, Measurements, Outcome, OutcomeBatch
from face_import.settings import Settings
from tests import servers
from tests.conftest import MakeTask

ROWS = 600
OWN = Limits(pos_pitch=25, pos_yaw=30, width=60, blur_degree=70)
ON_EDGES = (-180.0, -170.0, -1e4, 1e4, 180.0, 0.0, -0.0, 30.0)
BESIDE = (30.0, -30.0, 30.000000000000004, -30.000000000000004, 29.999999999999996, 1e4)


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    """An empty catalogue in each kind of database."""
    try:
        with servers.databases(1 if request.param == "postgresql" else 0) as urls:
            url = urls[0] if urls else f"sqlite:///{tmp_path / 'catalogue.db'}"
            migrate(url)
            catalogue = Catalogue.open(Settings(home=tmp_path, database_url=url))
            yield catalogue
            catalogue.engine.dispose()
    except servers.Unavailable as reason:
        servers.skip(reason)


def outcomes(dice: random.Random, angles: tuple[float, ...]) -> list[Outcome]:
    """Rows as an import under `OWN` leaves them: within, broken, refused by the library, failed before and after."""
    return [_outcome(dice, number, angles) for number in range(1, ROWS + 1)]


def _outcome(dice: random.Random, number: int, angles: tuple[float, ...]) -> Outcome:
    if dice.random() < 0.1:
        return Outcome(number, "", dice.choice([Code.URI_UNREACHABLE, Code.INFO_UNAVAILABLE, Code.SYSTEM]))
    if dice.random() < 0.1:
        return Outcome(number, "", Code.NO_FACE, measurements=Measurements(faces=0))
    if dice.random() < 0.05:
        return Outcome(number, "", Code.OK, "unchanged")
    angle = lambda: dice.choice(angles) if dice.random() < 0.2 else dice.gauss(0, 20)  # noqa: E731 - used three times
    measured = Measurements(dice.randint(1, 4), round(dice.random(), 4), dice.randint(50, 300), dice.randint(50, 300))
    while isinstance(found := judge(measured, OWN), Missing):
        if found is Missing.BLUR:
            measured = replace(measured, blur=dice.randint(0, MOST_BLUR))
        elif dice.random() < 0.1:
            measured = replace(measured, pose_unknown=True)
        else:
            measured = replace(measured, pitch=angle(), yaw=angle(), roll=angle())
    if found is not None:
        reason = Reason.POSE_UNKNOWN if measured.pose_unknown else None
        return Outcome(number, "", found[0], found[1], measurements=measured, reason=reason)
    later = dice.choice([*[Code.OK] * 8, Code.DUPLICATE_ID, Code.WIDTH, Code.ROLL, Code.BLUR])
    return Outcome(number, "", later, "the face library refuses the face", measurements=measured)


def fill(catalogue: Catalogue, make_task: MakeTask, rows: list[Outcome]) -> str:
    """A task with these outcomes, besides another one."""
    for _ in range(2):
        task = make_task(rows=len(rows), limits=OWN)
        assert catalogue.leases.take(task.id, 0, "me", len(rows))
        catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", tuple(rows)))
    return task.id


def expected(rows: list[Outcome], limits: Limits) -> Judged:
    """The same by `judge`, row by row."""
    by_limits = {Code.PITCH, Code.YAW, Code.ROLL, Code.WIDTH, Code.HEIGHT, Code.BLUR, Code.SEVERAL_FACES}
    others: Counter[int] = Counter()
    verdicts: Counter[object] = Counter()
    for row in rows:
        refused = row.code in by_limits and judge(row.measurements, OWN) is None
        if refused or (row.code != Code.OK and row.code not in by_limits):
            others[row.code] += 1
            continue
        found = judge(row.measurements, limits)
        verdicts["unmeasured" if isinstance(found, Missing) else found and found[0]] += 1
    within, unmeasured = verdicts.pop(None, 0), verdicts.pop("unmeasured", 0)
    return Judged(within, dict(verdicts), unmeasured, dict(others))  # type: ignore[arg-type]


def test_the_ledger_is_judged_as_a_row_is(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Row by row or in SQL: each limit alone, together, none, the task's own, and at random."""
    dice = random.Random(23)  # noqa: S311 - the same rows each time
    rows = outcomes(dice, BESIDE)
    task_id = fill(catalogue, make_task, rows)
    names = [limit.name for limit in fields(Limits)]
    few = [Limits(faces=1), Limits(faces=1, width=80)]
    wanted = [Limits(), OWN, *few, *(Limits(**{name: 30}) for name in names), Limits(30, 30, 30, 80, 80, 50)]
    wanted += [Limits(*(dice.choice([0, dice.randint(1, 100)]) for _ in names)) for _ in range(60)]
    for limits in wanted:
        found = judged(catalogue.engine, task_id, OWN, limits)
        assert found == expected(rows, limits), limits
        assert found.handled == ROWS
    own = judged(catalogue.engine, task_id, OWN, OWN)
    by_code = catalogue.ledger.progress(task_id).by_code
    assert {code: own.errors.get(code, 0) + own.others.get(code, 0) for code in by_code if code} == {
        code: count for code, count in by_code.items() if code
    }
    assert own.unmeasured == sum(row.message == "unchanged" for row in rows)


def test_a_histogram_counts_every_row(catalogue: Catalogue, make_task: MakeTask) -> None:
    """NumPy counts the same into the bins that are returned, and what is not measured is said."""
    rows = outcomes(random.Random(1), ON_EDGES)  # noqa: S311 - the same rows each time
    task_id = fill(catalogue, make_task, rows)
    for of, bins in product(("faces", "score", "width", "height", "pitch", "yaw", "roll", "blur"), (1, 7, 36, 1000)):
        found = histogram(catalogue.engine, task_id, of, bins)
        values = [value for row in rows if (value := getattr(row.measurements, of)) is not None]
        low, high = SPANS.get(of, (found.edges[0], found.edges[-1]))
        counts, _ = np.histogram(np.clip(values, low, high), found.edges)
        assert found.counts == counts.tolist(), (of, bins)
        assert found.unmeasured == ROWS - len(values)
        assert len(found.counts) == bins if of in SPANS else len(found.counts) <= bins


def test_a_task_without_rows_has_an_answer(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Before its first row there is nothing to count, and nothing to fail at."""
    task_id = make_task().id
    assert judged(catalogue.engine, task_id, OWN, Limits(width=80)) == Judged(0, {}, 0, {})
    assert histogram(catalogue.engine, task_id, "width", 36).counts == []
    assert histogram(catalogue.engine, task_id, "blur", 36).counts == [0] * 34
    assert histogram(catalogue.engine, task_id, "yaw", 36).edges[:2] == [-180.0, -170.0]
