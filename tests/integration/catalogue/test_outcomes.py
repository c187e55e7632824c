"""What became of rows, on both databases: every selection is what a look at all rows would give."""

import random
from collections.abc import Iterator
from itertools import chain, product
from pathlib import Path

import pytest

from face_import.catalogue import Catalogue, RowResult, Selection, outcomes
from face_import.catalogue.engine import migrate
from face_import.catalogue.schema import MEASURED
from face_import.contract import MAX_ROW, Code, Reason, Rows
from face_import.domain.models import Measurements, Nearest, Outcome, OutcomeBatch
from face_import.errors import TaskNotFound
from face_import.settings import Settings
from tests import servers
from tests.conftest import MakeTask

SHARDS, SHARD_ROWS = 12, 10
TOTAL = SHARDS * SHARD_ROWS
KINDS = [
    Outcome(1, "http://x", Code.OK, face_id="f", measurements=Measurements(faces=2, yaw=-1.5)),
    Outcome(1, "http://x", Code.URI_UNREACHABLE, "gone", reason=Reason.NOT_FOUND),
    Outcome(1, "http://x", Code.URI_UNREACHABLE, "away", reason=Reason.UNAVAILABLE),
    Outcome(1, "http://x", Code.NO_FACE, "none"),
    None,
]
SELECTIONS = [
    *map(Selection, Rows),
    Selection(Rows.IMPORTED, Code.OK),
    Selection(Rows.FAILED, Code.URI_UNREACHABLE),
    Selection(Rows.FAILED, Code.SYSTEM),
    Selection(Rows.FAILED, Code.URI_UNREACHABLE, Reason.NOT_FOUND),
    Selection(Rows.FAILED, reason=Reason.UNAVAILABLE),
]
SPANS = [
    *(((1, MAX_ROW),), ((1, TOTAL),), ((14, 14),), ((10, 31),), ((95, MAX_ROW),), ((TOTAL + 1, MAX_ROW),)),
    ((3, 3), (9, 12), (21, 30), (61, 61), (95, MAX_ROW)),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, catalogue: Catalogue, tmp_path: Path) -> Iterator[Catalogue]:
    """An empty catalogue in either database."""
    if request.param == "sqlite":
        yield catalogue
        return
    try:
        with servers.databases(1) as (url,):
            migrate(url)
            other = Catalogue.open(Settings(home=tmp_path, database_url=url))
            yield other
            other.engine.dispose()
    except servers.Unavailable as reason:
        servers.skip(reason)


def filled(catalogue: Catalogue, task_id: str) -> list[RowResult]:
    """Give rows outcomes at random, in some shards of one kind only; what became of all of them."""
    pick = random.Random(1)  # noqa: S311 - the same each time
    expected: list[RowResult] = []
    for shard in catalogue.plans.shards(task_id):
        kinds = KINDS if shard.number % 3 else [pick.choice(KINDS)]
        batch = []
        for row in range(shard.first_row, shard.last_row + 1):
            kind = pick.choice(kinds)
            if kind is None:
                expected.append((row, None, "", "", "", *[None] * 8))
                continue
            batch.append(
                Outcome(row, kind.uri, kind.code, kind.message, kind.face_id, kind.measurements, reason=kind.reason)
            )
            measured = [getattr(kind.measurements, name) for name in MEASURED]
            expected.append((row, int(kind.code), kind.reason or "", kind.message, kind.face_id, *measured))
        assert catalogue.leases.take(task_id, shard.number, "me", 10)
        catalogue.ledger.write(OutcomeBatch(task_id, shard.number, "me", tuple(batch)))
    return expected


def is_selected(selection: Selection, result: RowResult) -> bool:
    """By looking at a row alone."""
    row, code, reason, *_ = result
    of = {
        Rows.ALL: True,
        Rows.FAILED: code not in {0, None},
        Rows.IMPORTED: code == 0,
        Rows.UNHANDLED: code is None,
    }
    return (
        of[selection.rows]
        and any(first <= row <= last for first, last in selection.spans)
        and (selection.code is None or code == selection.code)
        and (selection.reason is None or reason == selection.reason)
    )


def test_every_selection_is_exact(catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is selected, skipped, and however small a page is."""
    task_id = make_task(shards=SHARDS, rows=SHARD_ROWS).id
    expected = filled(catalogue, task_id)
    for kind, spans, skip, page_rows in product(SELECTIONS, SPANS, (0, 1, 17, TOTAL), (3, 25, 5000)):
        monkeypatch.setattr(outcomes, "PAGE_ROWS", page_rows)
        selection = Selection(kind.rows, kind.code, kind.reason, spans)
        pages = list(catalogue.outcomes.pages(task_id, selection, TOTAL, skip))
        found = [tuple(row) for row in chain.from_iterable(pages)]
        assert found == [row for row in expected if is_selected(selection, row)][skip:], (selection, skip, page_rows)
        assert all(0 < len(page) <= page_rows for page in pages)
        if not skip:
            assert catalogue.outcomes.count(task_id, selection, TOTAL) == len(found), (selection, page_rows)


def test_a_deleted_task_has_no_results(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Its outcomes are being removed: that does not make its rows unhandled."""
    task_id = make_task(shards=SHARDS, rows=SHARD_ROWS).id
    filled(catalogue, task_id)
    catalogue.tasks.mark_deleted(task_id)
    for rows in Rows:
        with pytest.raises(TaskNotFound):
            list(catalogue.outcomes.pages(task_id, Selection(rows), TOTAL))


def test_the_faces_that_speak_against_rows_are_found(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Of rows that were refused for that, and of imported ones; not of those that new limits have refused since."""
    task = make_task()
    codes = [Code.ALIKE, Code.UNLIKE_TAG, Code.OK, Code.WIDTH]
    outcomes = [Outcome(row, "", code, nearest=Nearest(f"emp-{row}", row / 8)) for row, code in enumerate(codes, 1)]
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (*outcomes, Outcome(5, "", Code.OK, face_id="f"))))
    found = catalogue.outcomes.nearest(task.id, range(1, 10))
    assert found == {1: ("emp-1", 0.125), 2: ("emp-2", 0.25), 3: ("emp-3", 0.375)}
    assert catalogue.outcomes.nearest(task.id, [2, 5]) == {2: ("emp-2", 0.25)}
    assert catalogue.outcomes.nearest(task.id, []) == {}
    assert catalogue.outcomes.nearest(make_task().id, [1]) == {}
