"""Row 11: what further workers bring to an import that waits for its image host."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from statistics import median

from bench.figures import Figure, at_least, at_most, pairs, ratios
from bench.saying import say
from bench.trivial import Trivial, add_dags, ending
from bench.workbench import Workbench, run_job
from tests import servers
from tests.real import COMMAND, RealStack
from tests.waiting import until

SLOTS, PER_HOST, LATENCY_S = 2, 4, 0.5
THREADS = 64
"""Of 8 rows a process that is 8 shards at once, four times what the slots of one worker run."""
ROWS = 16_000
STAGES = (1, 2, 4)
WINDOWS, WINDOW_S, SETTLE_S = 3, 6, 4
TARGETS = {2: 1.9, 4: 3.6}
JOINS_WITHIN = 1.5
JOINED_ROWS = 4_000
_JOINS = "a worker is added: from its command to its first shard / Airflow's own to a task that does nothing"


def scaling(bench: Workbench) -> Iterator[Figure]:
    """One import, to which workers are added; the images/s of each stage against those of the first."""
    bench.services.delay(0)
    try:
        with _stack(bench) as stack, ExitStack() as added:
            bench.services.delay(0, images=LATENCY_S)
            joined = _joins(bench, stack)
            rates = _measured(bench, stack, added)
    except servers.Unavailable as reason:
        for workers, target in TARGETS.items():
            yield Figure(11, _what(workers), None, target, at_least=True, note=str(reason))
        yield Figure(11, _JOINS, None, JOINS_WITHIN, at_least=False, note=str(reason))
        return
    for workers, target in TARGETS.items():
        gained = [rate / first for rate, first in zip(rates[workers], rates[1], strict=True)]
        note = ", ".join(f"{sum(rates[n]) / WINDOWS:.1f} rows/s with {n}" for n in STAGES if n <= workers)
        yield at_least(11, _what(workers), target, gained, note=note)
    ours, peer = (median(side) for side in zip(*joined, strict=True))
    note = f"{ours:.1f} s; Airflow's own {peer:.1f} s"
    yield at_most(11, _JOINS, JOINS_WITHIN, ratios(joined), note=note)


def _what(workers: int) -> str:
    return f"rows/s of an import that waits for its image host, {workers} workers / one"


@contextmanager
def _stack(bench: Workbench) -> Iterator[RealStack]:
    """A warm stack with one worker, on databases of its own."""
    say("a stack on PostgreSQL and Redis")
    home, url = bench.folder / "scaling", bench.services.url
    with servers.servers_of(home) as variables:
        stack = RealStack(
            home,
            **variables,
            FACE_IMPORT_INFO_URL=url,
            FACE_IMPORT_LIBRARY_URL=url,
            FACE_IMPORT_WORKERS="1",
            FACE_IMPORT_START_TIMEOUT_S="600",
            FACE_IMPORT_EXECUTOR_SLOTS=str(SLOTS),
            FACE_IMPORT_FETCH_PER_HOST=str(PER_HOST),
        )
        add_dags(stack)
        with stack:
            run_job(stack, bench.services.rows(20), 10)
            yield stack


def _measured(bench: Workbench, stack: RealStack, added: ExitStack) -> dict[int, list[float]]:
    """Rows/s by the number of workers, in windows in the middle of one import."""
    task_id = stack.api.create(bench.services.rows(ROWS), thread_num=THREADS)
    stack.api.ok(f"{task_id}/start")

    def has_shards(count: int) -> None:
        until(lambda: stack.catalogue.leases.live(task_id) >= count, 120)

    rates, running = {}, 1
    for workers in STAGES:
        for _ in range(workers - running):
            added.enter_context(_worker(stack))
        running = workers
        has_shards(workers * SLOTS)
        time.sleep(SETTLE_S)  # grants are shared out again at the next renewals
        say(f"rows per second with {workers} of {STAGES[-1]} workers")
        rates[workers] = [_rate(bench) for _ in range(WINDOWS)]
    assert stack.api.detail(task_id)["failed_num"] == 0
    stack.api.ok(f"{task_id}/stop")
    return rates


def _rate(bench: Workbench) -> float:
    """Rows/s between the first and the last face that the library counts in a window."""
    bench.services.adds()
    time.sleep(WINDOW_S)
    marks = bench.services.adds()
    first, last = min(marks), max(marks)
    return (last - first) / (marks[last] - marks[first])


def _joins(bench: Workbench, stack: RealStack) -> list[tuple[float, float]]:
    """Seconds until a worker that is added to an import has its first shard, and Airflow's own has a task.

    Each time it is another import: the added worker ends when that one is stopped, and none of its shards is lost.
    """
    trivial = Trivial(stack)
    live = stack.catalogue.leases.live

    def ours() -> float:
        task_id = stack.api.create(bench.services.rows(JOINED_ROWS), thread_num=THREADS)
        stack.api.ok(f"{task_id}/start")
        until(lambda: live(task_id) == SLOTS, 120)
        began = time.monotonic()
        with _worker(stack):
            until(lambda: live(task_id) > SLOTS, 120)
            seconds = time.monotonic() - began
            stack.api.ok(f"{task_id}/stop")
        return seconds

    return pairs(ours, trivial.worker_s)


def _worker(stack: RealStack) -> AbstractContextManager[None]:
    """One more worker of the stack, for the block."""
    command = [COMMAND, "worker", "--slots", str(SLOTS)]
    return ending(subprocess.Popen(command, env=stack.environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT))
