"""Rows 1-4, 8 and 9: rows through a shard, and whole jobs through the API and Airflow, against the plain script."""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean, median

from bench.figures import PAIRS, Figure, at_least, at_most, pairs, ratios
from bench.saying import say
from bench.workbench import LATENCY_S, Workbench

THREADS = 10
SHARD_ROWS = 1000
JOB_ROWS, SCRIPT_ROWS = 6_000, 500
BUSY_THREADS, BUSY_ROWS, BUSY_SCRIPT_ROWS = 32, 3_000, 500
IDLE_S = 10


def shard(bench: Workbench) -> Iterator[Figure]:
    """Row 1: inside a shard, against what thread_num bare clients reach."""
    bench.services.delay(LATENCY_S)
    lines = bench.services.rows(SHARD_ROWS)
    measured = pairs(
        lambda: SHARD_ROWS / bench.shards.timed(lines, THREADS),
        lambda: bench.services.bare_rate(THREADS),
    )
    rate, limit = (median(side) for side in zip(*measured, strict=True))
    note = f"{rate:.1f} rows/s of {limit:.1f}"
    yield at_least(
        1, "rows/s inside a shard / the limit, thread_num 10, 20 ms a call", 0.95, ratios(measured), note=note
    )


@dataclass(frozen=True)
class Costs:
    """Costs of one run per row: seconds, CPU seconds, and seconds of its second half."""

    seconds: float
    cpu_s: float
    marginal_s: float


def jobs(bench: Workbench) -> Iterator[Figure]:
    """Rows 2 and 3: whole jobs, their time and their CPU, against the limit and the plain script.

    The limit is measured before and after each job: where other work slows the cores down, it comes down with the job.
    """
    _ = bench.stack
    idle = _idle_cpu(bench)
    bench.services.delay(LATENCY_S)
    limits, ours, script = [], [], []
    for number in range(PAIRS):
        say(f"sample {number + 1} of {PAIRS}: a job of {JOB_ROWS:,} rows")
        before = bench.services.bare_rate(THREADS)
        ours.append(_job(bench))
        limits.append(2 / (before + bench.services.bare_rate(THREADS)))
        run = bench.script(bench.services.rows(SCRIPT_ROWS), THREADS)
        script.append(Costs(run["seconds"] / run["rows"], run["cpu_s"] / run["rows"], 0))
    three = list(zip(limits, ours, script, strict=True))
    job = f"job of {JOB_ROWS:,} rows"
    note = f"{1 / median(j.seconds for j in ours):.1f} rows/s of {1 / median(limits):.1f}"
    yield at_least(2, f"{job} / the limit", 0.85, [li / o.seconds for li, o, _ in three], note=note)
    note = f"{1 / median(j.marginal_s for j in ours):.1f} rows/s"
    marginal = [li / o.marginal_s for li, o, _ in three]
    yield at_least(2, "the second half of its rows / the limit", 0.93, marginal, note=note)
    note = f"the script: {1 / median(j.seconds for j in script):.1f} rows/s"
    yield at_least(2, f"{job} / the plain script", 1.0, [s.seconds / o.seconds for _, o, s in three], note=note)
    share = idle * median(o.seconds for o in ours)
    cpu, peer = median(o.cpu_s for o in ours), median(s.cpu_s for s in script)
    note = (
        f"{(cpu - share) * 1e3:.2f} ms, and {share * 1e3:.2f} ms that an idle stack takes in that time "
        f"(with it {cpu / peer:.2f}); the script {peer * 1e3:.2f} ms"
    )
    own = [(o.cpu_s - idle * o.seconds) / s.cpu_s for _, o, s in three]
    yield at_most(
        3, "CPU per row of that job, without the stack's idle share / the plain script's", 0.6, own, note=note
    )


def _idle_cpu(bench: Workbench) -> float:
    """CPU seconds a second of the stack with nothing to do."""
    before, began = bench.cpu_s(), time.monotonic()
    time.sleep(IDLE_S)
    return (bench.cpu_s() - before) / (time.monotonic() - began)


def _job(bench: Workbench) -> Costs:
    bench.services.adds()
    before = bench.cpu_s()
    _, began, finished = bench.job(bench.services.rows(JOB_ROWS), THREADS)
    cpu = bench.cpu_s() - before
    added = bench.services.adds()
    marginal = (finished - added[JOB_ROWS // 2]) / (JOB_ROWS // 2)
    return Costs((finished - began) / JOB_ROWS, cpu / JOB_ROWS, marginal)


def busy(bench: Workbench) -> Iterator[Figure]:
    """Row 4: services without latency, so that the processors are the limit."""
    _ = bench.stack
    bench.services.delay(0)

    def ours() -> float:
        _, began, finished = bench.job(bench.services.rows(BUSY_ROWS), BUSY_THREADS)
        return BUSY_ROWS / (finished - began)

    def script() -> float:
        run = bench.script(bench.services.rows(BUSY_SCRIPT_ROWS), BUSY_THREADS)
        return run["rows"] / run["seconds"]

    measured = pairs(ours, script)
    rate, peer = (median(side) for side in zip(*measured, strict=True))
    note = f"{rate:.0f} rows/s, start to end of a job of {BUSY_ROWS:,} rows; the script {peer:.0f}"
    yield at_least(4, "rows/s without latency, thread_num 32 / the plain script", 2.0, ratios(measured), note=note)


def first_row(bench: Workbench) -> Iterator[Figure]:
    """Row 8: how long somebody waits for the first row, against the second of two tasks that do nothing."""
    _ = bench.stack
    bench.services.delay(LATENCY_S)

    def wait_s() -> float:
        task_id, began, _ = bench.job(bench.services.rows(50), THREADS)
        return bench.first_handled(task_id) - began

    measured = pairs(wait_s, bench.trivial.second_task_s)
    ours, peer = (median(side) for side in zip(*measured, strict=True))
    what = "`start` to the first row in the ledger / trigger to the second of two tasks of Airflow's that do nothing"
    yield at_most(8, what, 2, ratios(measured), note=f"{ours:.2f} s, warm stack; Airflow {peer:.2f} s")


def scale(bench: Workbench) -> Iterator[Figure]:
    """Row 9: CPU per row at three sizes, with small pictures so that 100,000 rows take a minute."""
    _ = bench.stack
    bench.services.delay(0)
    bench.small.delay(0)
    samples = defaultdict(list)
    for rows in (1_000, 10_000, 100_000, 10_000):  # before and after, since the machine's speed changes meanwhile
        before = bench.cpu_s()
        bench.job(bench.small.rows(rows), BUSY_THREADS)
        samples[rows].append((bench.cpu_s() - before) / rows)
    costs = {rows: mean(measured) for rows, measured in samples.items()}
    note = ", ".join(f"{cost * 1e3:.2f} ms at {rows:,} rows" for rows, cost in costs.items())
    ratio = costs[100_000] / costs[10_000]
    yield at_most(9, "CPU per row at 100,000 rows / at 10,000", 1.1, [ratio], note=note)
