"""Run the benchmarks; update bench/results.json and the table in docs/explanation/performance.md.

`python -m bench` measures all rows of the table, `python -m bench 1 6` two. The exit status is 1 if a target is missed.
"""

import argparse
import os
import platform
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench.faces import faces, large_photographs
from bench.fetching import fetching
from bench.figures import Figure, save
from bench.history import record
from bench.hosts import hosts
from bench.intake import intake
from bench.jobs import busy, first_row, jobs, scale, shard
from bench.judge import judge
from bench.ledger import ledger
from bench.reopening import reopening
from bench.results import results
from bench.saying import say
from bench.scaling import scaling
from bench.workbench import Workbench

Measurement = Callable[[Workbench], Iterator[Figure]]
MEASUREMENTS: dict[tuple[int, ...], Measurement] = {
    (1,): shard,
    (5,): fetching,
    (6,): intake,
    (7,): ledger,
    (13,): results,
    (14,): reopening,
    (15,): judge,
    (10,): faces,
    (16,): large_photographs,
    (8,): first_row,
    (4,): busy,
    (2, 3): jobs,
    (12,): hosts,
    (9,): scale,
    (11,): scaling,
}
"""In this order: an idle stack would slow down the first ones."""


def main() -> int:
    """Run the selected benchmarks."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("rows", type=int, nargs="*", help="numbers of rows; default: all")
    asked = set(parser.parse_args().rows) or {row for rows in MEASUREMENTS for row in rows}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as on Ctrl-C
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="face-import-bench-") as folder, ExitStack() as held:
        bench = Workbench(Path(folder), held)
        figures = list(_measured(bench, asked))
    machine = _machine()
    save(figures, machine, time.monotonic() - began)
    record(figures, machine)
    _show(figures)
    return 0 if all(figure.met for figure in figures) else 1


def _measured(bench: Workbench, asked: set[int]) -> Iterator[Figure]:
    for rows, measure in MEASUREMENTS.items():
        if asked.isdisjoint(rows):
            continue
        began = time.monotonic()
        say(measure.__doc__ or "")
        for figure in measure(bench):
            say(f"row {figure.row}: {figure.what}: {figure.shown} (target {figure.bound}) {figure.note}")
            yield figure
        say(f"rows {', '.join(map(str, rows))} took {time.monotonic() - began:.0f} s")


def _show(figures: list[Figure]) -> None:
    table = Table("row", "what", "measured", "target", "", "details")
    for figure in sorted(figures, key=lambda figure: figure.row):
        verdict = "[green]met" if figure.met else "[red]missed"
        table.add_row(str(figure.row), figure.what, figure.shown, figure.bound, verdict, figure.note)
    console = Console(width=160)
    console.print(table)
    missed = sorted({figure.row for figure in figures if not figure.met})
    console.print(f"missed targets: rows {', '.join(map(str, missed))}" if missed else "all targets met")


def _machine() -> str:
    gibibytes = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores, {gibibytes:.0f} GiB, Python {platform.python_version()}"


if __name__ == "__main__":
    raise SystemExit(main())
