"""Row 13: the failed rows of a file of a million, downloaded with all of their cells, against csv alone."""

import csv
import http.client
import io
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, insert, literal, select

from bench.figures import Figure, at_least, at_most, pairs, ratios
from bench.ledger import FAILURES, ROWS, outcomes, shim
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
    with shim(settings) as process:
        path = f"/v1/tasks/{task_id}/download_rows"
        client = http.client.HTTPConnection("127.0.0.1", settings.port)
        _seconds(client, f"{path}?code=102", FAILURES // 3)
        before = process.memory_info().rss
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # its peak is what it has now
        measured = pairs(lambda: _seconds(client, path, FAILURES), lambda: _csv_seconds(source))
        rate = FAILURES / min(ours for ours, _ in measured)
        what = "`download_rows` of 300,000 failed rows of 1,000,000: csv.reader and csv.writer's time / ours"
        note = f"{rate:,.0f} lines/s; csv alone {min(peer for _, peer in measured):.2f} s"
        yield at_least(13, what, 0.35, [1 / ratio for ratio in ratios(measured)], note=note)
        grown = (peak_bytes(process.pid) - before) / 2**20
        yield at_most(13, "what these downloads add to the API's peak memory", 20, [grown], unit="MB")
        yield at_most(13, "the API's peak memory", 150, [peak_bytes(process.pid) / 2**20], unit="MB")
        rates = [ROWS / _seconds(client, f"{path}?rows=unhandled", ROWS // SPARSE) for _ in range(5)]
        yield at_least(13, "rows/s looked at for one in 1,000 of them", 100_000, rates, unit="rows/s")
        client.close()


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


def _seconds(client: http.client.HTTPConnection, path: str, rows: int) -> float:
    began = time.perf_counter()
    client.request("GET", path)
    answer = client.getresponse()
    seen = 0
    while piece := answer.read(2**18):
        seen += piece.count(b"\n")
    assert seen == rows + 1, (path, seen)
    return time.perf_counter() - began


def _csv_seconds(source: Path) -> float:
    """The same rows with `csv` alone, without the ledger, HTTP and a second process."""
    began = time.perf_counter()
    with source.open(newline="") as file:
        writer = csv.writer(io.StringIO(newline=""))
        reader = csv.reader(file)
        writer.writerow(next(reader))
        for number, record in enumerate(reader, 1):
            if number % 10 < 3:
                writer.writerow(record)
    return time.perf_counter() - began
