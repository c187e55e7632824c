"""Row 14: reopening 300,000 of a million rows, and what another import pays meanwhile, on both databases.

The first half is reopened alone, the second one beside the other import.
"""

import time
from collections.abc import Iterator
from statistics import mean
from threading import Event, Thread

from sqlalchemy import delete

from bench.figures import Figure, at_most
from bench.ledger import FAILURES, fill
from bench.workbench import Workbench
from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.schema import FAILED, outcome
from face_import.contract import Code, Mode, TaskState
from face_import.domain.failed_rows import FailedRows
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Outcome, OutcomeBatch, Shard
from face_import.settings import Settings
from tests import servers

BATCH, PAUSE_S = 500, 0.1
ROWS = 10**6
WRITES = 30


def reopening(bench: Workbench) -> Iterator[Figure]:
    """Both databases, one after the other."""
    yield from _measured("SQLite", Settings(home=bench.folder / "reopening-sqlite"))
    try:
        with servers.databases(1) as (url,):
            yield from _measured("PostgreSQL", Settings(home=bench.folder / "reopening-pg", database_url=url))
    except servers.Unavailable as reason:
        yield Figure(14, "PostgreSQL", None, 1, at_least=False, note=str(reason))


def _measured(database: str, settings: Settings) -> Iterator[Figure]:
    settings.home.mkdir(parents=True)
    reopened, deleted = fill(settings), fill(settings)
    catalogue = Catalogue.open(settings)
    writing = _Import(catalogue)
    alone = mean([writing.write() for _ in range(WRITES)])

    done = Event()
    times: list[float] = []

    def write() -> None:
        while not done.wait(PAUSE_S):
            times.append(writing.write())

    began = time.perf_counter()
    assert catalogue.reopening.reopen(reopened, FailedRows(spans=((1, ROWS // 2),))) == FAILURES // 2
    took = 2 * (time.perf_counter() - began)
    beside = Thread(target=write, daemon=True)
    beside.start()
    assert catalogue.reopening.reopen(reopened, FailedRows()) == FAILURES // 2
    done.set()
    beside.join()

    began = time.perf_counter()
    with catalogue.engine.begin() as connection:
        connection.execute(delete(outcome).where(outcome.c.task_id == deleted, FAILED))
    plain = time.perf_counter() - began
    catalogue.engine.dispose()
    note = f"{took:.1f} s, in one DELETE {plain:.1f} s"
    yield at_most(
        14, f"{database}: reopening 300,000 of a million rows / deleting them at once", 4, [took / plain], note=note
    )
    note = f"{mean(times) * 1e3:.0f} ms, alone {alone * 1e3:.0f} ms, at most {max(times) * 1e3:.0f} ms"
    what = f"{database}: another import's write of {BATCH} rows meanwhile / alone"
    yield at_most(14, what, 10, [mean(times) / alone], note=note)


class _Import:
    """Another import, whose shard writes batches to the ledger."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue, self._task_id, self._row = catalogue, new_task_id(), 1
        config = TaskConfig("staff", "other", Limits(), 10, Mode.SKIP)
        catalogue.tasks.add(self._task_id, self._task_id, config, state=TaskState.RUNNING, total_num=ROWS)
        catalogue.plans.commit(self._task_id, [Shard(0, 1, ROWS, 0, 1, 1)], ROWS)
        catalogue.leases.take(self._task_id, 0, "bench", 10, ttl_s=3600)

    def write(self) -> float:
        """Write the next batch; returns the seconds that it took."""
        rows = range(self._row, self._row + BATCH)
        self._row += BATCH
        uri = "https://images.example.org/people/portrait.jpg"
        batch = OutcomeBatch(self._task_id, 0, "bench", tuple(Outcome(row, uri, Code.OK, face_id="f") for row in rows))
        began = time.perf_counter()
        self._catalogue.ledger.write(batch)
        return time.perf_counter() - began
