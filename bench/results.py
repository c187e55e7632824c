"""Row 13: the failed rows of a file of a million, downloaded with all of their cells, against csv alone."""

import csv
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

from sqlalchemy import func, insert, literal, select

from bench.figures import Figure, at_least, at_most, pairs, ratios
from bench.ledger import FAILURES, ROWS, outcomes
from bench.serving import bare, client_of, download_s, shim
from bench.workbench import Workbench
from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.catalogue.schema import outcome, tally
from face_import.contract import Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits
from face_import.domain.planning import plan_shards
from face_import.settings import Settings
from face_import.sources import Storage
from tests.memory import peak_bytes
from tests.real import free_ports

SPARSE = 1_000
"""One row in so many is unhandled."""


def results(bench: Workbench) -> Iterator[Figure]:
    """One row in three fails, so nearly every block of the file is read; then one in a thousand is wanted."""
    settings = Settings(home=bench.folder / "results", port=free_ports(1)[0])
    source = bench.folder / "results.csv"
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("uri", "tag", "description", "department"))
        uri = "https://images.example.org/people/{}/portrait.jpg"
        writer.writerows((uri.format(n), f"Person {n}", f"the person {n}", "Sales") for n in range(1, ROWS + 1))
    task_id = _fill(settings, source)
    with shim(settings) as process, closing(client_of(settings)) as client, bare(settings) as peer:
        path = f"/v1/tasks/{task_id}/download_rows"
        download_s(client, f"{path}?code=102", FAILURES // 3 + 1)
        before = process.memory_info().rss
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # its peak is what it has now
        measured = pairs(
            lambda: download_s(peer, f"/copy?of={source}", FAILURES + 1),
            lambda: download_s(client, path, FAILURES + 1),
        )
        alone, ours = (median(side) for side in zip(*measured, strict=True))
        what = "`download_rows` of 300,000 failed rows of 1,000,000: csv's time by the same server / ours"
        note = f"{FAILURES / ours:,.0f} lines/s; csv alone {alone:.2f} s"
        yield at_least(13, what, 0.35, ratios(measured), note=note)
        grown = (peak_bytes(process.pid) - before) / 2**20
        yield at_most(13, "what these downloads add to the API's peak memory", 20, [grown], unit="MB")
        yield at_most(13, "the API's peak memory", 150, [peak_bytes(process.pid) / 2**20], unit="MB")
        measured = pairs(
            lambda: download_s(peer, f"/count?of={source}", 0),
            lambda: download_s(client, f"{path}?rows=unhandled", ROWS // SPARSE + 1),
        )
        alone, ours = (median(side) for side in zip(*measured, strict=True))
        note = f"{ROWS / ours:,.0f} rows/s looked at; csv.reader {ROWS / alone:,.0f}"
        what = "`download_rows` of one row in 1,000: csv.reader's time for the file by the same server / ours"
        yield at_least(13, what, 0.7, ratios(measured), note=note)


def _fill(settings: Settings, source: Path) -> str:
    """A stopped task, whose outcomes the database makes itself; one row in `SPARSE` has none."""
    migrate(settings.catalogue_url)
    catalogue = Catalogue.open(settings)
    task_id = new_task_id()
    with source.open("rb") as file:
        index = Storage.of(settings).store(task_id, file)
    config = TaskConfig("staff", "bench", Limits(), 10, Mode.SKIP)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.STOPPED, total_num=ROWS)
    shards = plan_shards(index, 200)
    catalogue.plans.commit(task_id, shards, ROWS)
    with catalogue.engine.begin() as connection:
        made = outcomes(task_id)
        connection.execute(insert(outcome).from_select(made.selected_columns.keys(), made))
        connection.execute(outcome.delete().where(outcome.c.row % SPARSE == SPARSE - 1))
        for shard in shards:
            rows = outcome.c.row.between(shard.first_row, shard.last_row)
            counts = select(literal(task_id), literal(shard.number), outcome.c.code, func.count()).where(rows)
            connection.execute(insert(tally).from_select(list(tally.c), counts.group_by(outcome.c.code)))
    catalogue.engine.dispose()
    return task_id
