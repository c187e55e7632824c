"""PostgreSQL and a task that it has no statistics about, as it has none of any import in its first minutes or hours."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from face_import.catalogue import Catalogue, Selection, outcomes, tasks
from face_import.catalogue.engine import migrate
from face_import.catalogue.reports import SAMPLES, Overview
from face_import.contract import Code, Rows
from face_import.domain.models import Outcome, OutcomeBatch
from face_import.settings import Settings
from tests import servers
from tests.conftest import MakeTask

ROWS, SHARD_ROWS = 20_000, 500
FILL = text("""
    INSERT INTO outcome (task_id, row, code, uri, message, face_id, handled_at)
    SELECT task.id, row, CASE WHEN row % 10 < 3 THEN 201 ELSE 0 END, 'http://x', '', task.id || '-' || row, 1
    FROM generate_series(1, :rows) AS row, import_task AS task WHERE task.id = :task_id
""")
TALLY = text("""
    INSERT INTO tally
    SELECT task_id, (row - 1) / :shard_rows, code, count(*) FROM outcome WHERE task_id = :task_id GROUP BY 1, 2, 3
""")
LAST = range(ROWS + 1, ROWS + 101)

USES: dict[str, Callable[[Catalogue, str], object]] = {
    "a write": lambda catalogue, task_id: catalogue.ledger.write(
        OutcomeBatch(task_id, ROWS // SHARD_ROWS, "me", tuple(Outcome(n, "http://x", Code.OK) for n in LAST))
    ),
    "a shard's rows": lambda catalogue, task_id: catalogue.ledger.handled_rows(task_id, ROWS - SHARD_ROWS, ROWS),
    "a page of the log": lambda catalogue, task_id: list(catalogue.ledger.log(task_id, skip=5_000, limit=100)),
    "a page of one code": lambda catalogue, task_id: list(catalogue.ledger.log(task_id, limit=100, code=201)),
    "a page of results": lambda catalogue, task_id: next(
        catalogue.outcomes.pages(task_id, Selection(Rows.FAILED), ROWS, skip=5_000)
    ),
    "the results of a row": lambda catalogue, task_id: list(
        catalogue.outcomes.pages(task_id, Selection(Rows.ALL, spans=((ROWS - 9, ROWS - 9),)), ROWS)
    ),
    "one row": lambda catalogue, task_id: Overview(catalogue.engine).handled_row(task_id, ROWS - 9),
    "an id of a row in doubt": lambda catalogue, task_id: catalogue.journal.holder(task_id, 1, "own"),
    "the chart of the speed": lambda catalogue, task_id: Overview(catalogue.engine).handled(task_id, ROWS),
    "a portion of a purge": lambda catalogue, task_id: catalogue.tasks.purge_some(task_id),
}


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """An empty catalogue in PostgreSQL whose statistics are made when a test says so."""
    try:
        with servers.databases(1) as (url,):
            migrate(url)
            catalogue = Catalogue.open(Settings(home=tmp_path, database_url=url))
            with catalogue.engine.begin() as connection:
                connection.execute(text("ALTER TABLE outcome SET (autovacuum_enabled = false)"))
            yield catalogue
            catalogue.engine.dispose()
    except servers.Unavailable as reason:
        servers.skip(reason)


@pytest.fixture
def task_id(catalogue: Catalogue, make_task: MakeTask) -> str:
    """A task with outcomes of nearly all rows, made after the statistics."""
    old, new = (make_task(shards=ROWS // SHARD_ROWS + 1, rows=SHARD_ROWS).id for _ in range(2))
    with catalogue.engine.begin() as connection:
        connection.execute(FILL, {"task_id": old, "rows": ROWS})
        connection.execute(text("ANALYZE"))
        connection.execute(FILL, {"task_id": new, "rows": ROWS})
        connection.execute(TALLY, {"task_id": new, "shard_rows": SHARD_ROWS})
    assert catalogue.leases.take(new, ROWS // SHARD_ROWS, "me", 10)
    return new


@pytest.mark.parametrize("use", USES)
def test_no_use_reads_all_rows_of_a_task(
    catalogue: Catalogue, task_id: str, use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done many times in an import's life costs as much at its last row as at its first."""
    monkeypatch.setattr(tasks, "PURGE_ROWS", SAMPLES)
    monkeypatch.setattr(outcomes, "PAGE_ROWS", 100)
    read: list[int] = []

    @event.listens_for(catalogue.engine, "before_cursor_execute")
    def _explain(
        connection: Connection, _: object, statement: str, parameters: Any, _context: object, _many: bool
    ) -> None:
        if " outcome" in statement and statement.startswith(("SELECT", "WITH", "DELETE")):
            cursor = connection.connection.cursor()
            cursor.execute("SAVEPOINT explained")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            ((plan,),) = cursor.fetchone()
            cursor.execute("ROLLBACK TO explained")
            read.append(_rows_read(plan["Plan"]))

    USES[use](catalogue, task_id)
    assert read
    assert sum(read) <= SAMPLES + 100


def _rows_read(plan: dict[str, Any]) -> int:
    """Outcomes that a plan and all below it read in table and indexes, those included that it did not want."""
    below = sum(_rows_read(child) for child in plan.get("Plans", []))
    if plan.get("Relation Name") != "outcome":
        return below
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return below + int((plan["Actual Rows"] + removed) * plan["Actual Loops"])
