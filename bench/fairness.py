"""Row 17: how long a small import waits beside a large one that fills every slot."""

import time
from collections.abc import Iterator
from statistics import median

from bench.figures import Figure, at_least, at_most
from bench.jobs import THREADS
from bench.workbench import Workbench
from tests.waiting import until

DELAY_S = 0.1
TIMES = 10
SMALL_ROWS, LARGE_ROWS, LARGE_THREADS = 20, 60_000, 64
QUIET_S = 20.0


def fairness(bench: Workbench) -> Iterator[Figure]:
    """The first row of 20 rows, idle and beside 60,000; what these lose by it."""
    _ = bench.stack
    bench.small.delay(DELAY_S)
    idle = [_first_row_s(bench) for _ in range(TIMES)]
    large = _start(bench, LARGE_ROWS, LARGE_THREADS)
    slots = bench.stack.settings.executor_slots
    until(lambda: bench.stack.catalogue.leases.live(large) >= slots, 120)
    before = _rate(bench, large)
    began, rows = time.monotonic(), _handled(bench, large)
    beside = [_first_row_s(bench) for _ in range(TIMES)]
    with_others = (_handled(bench, large) - rows) / (time.monotonic() - began)
    without = (before + _rate(bench, large)) / 2
    _delete(bench, large)
    note = f"{median(beside):.1f} s, on an idle stack {median(idle):.1f} s"
    yield at_most(
        17, "first row of 20 beside 60,000 in every slot / idle", 3, [median(beside) / median(idle)], note=note
    )
    note = f"{with_others:.0f} rows/s, {without:.0f} without them"
    yield at_least(
        17, "rows/s of the 60,000 with small imports beside them / without", 0.95, [with_others / without], note=note
    )


def _start(bench: Workbench, rows: int, threads: int) -> str:
    task_id = bench.stack.api.create(bench.small.rows(rows), thread_num=threads)
    bench.stack.api.ok(f"{task_id}/start")
    return task_id


def _first_row_s(bench: Workbench) -> float:
    """Seconds from `start` to the first row in the ledger; returns once the import is complete."""
    task_id = bench.stack.api.create(bench.small.rows(SMALL_ROWS), thread_num=THREADS)
    began = time.time()
    bench.stack.api.ok(f"{task_id}/start")
    until(lambda: bench.stack.api.detail(task_id)["state"] == 4, 600, every_s=0.2)
    return bench.first_handled(task_id) - began


def _handled(bench: Workbench, task_id: str) -> int:
    return int(bench.stack.api.detail(task_id)["handled_num"])


def _rate(bench: Workbench, task_id: str) -> float:
    """Rows/s over some seconds."""
    began, rows = time.monotonic(), _handled(bench, task_id)
    time.sleep(QUIET_S)
    return (_handled(bench, task_id) - rows) / (time.monotonic() - began)


def _delete(bench: Workbench, task_id: str) -> None:
    bench.stack.api.ok(f"{task_id}/delete")
    until(lambda: not bench.stack.catalogue.leases.live(task_id), 60)
