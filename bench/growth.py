"""What grows with the rows of an import, and with the number of imports: `make bench-growth`, on PostgreSQL.

`python -m bench.growth 1000 10000` measures these sizes, `python -m bench.growth crowd` many imports at once; without
arguments all of them, which takes most of an hour. Results are kept in bench/growth.json, one entry per size, and shown
in docs/explanation/performance.md.
"""

import argparse
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import growing, reads
from bench.crowd import STEPS, crowd
from bench.doubles import photograph, services
from bench.saying import say
from bench.simulated import checkout
from bench.tables import CROWD, READS, ROWS, by_size, faults, load, save
from tests import servers
from tests.real import RealStack

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)


def main() -> int:
    """Measure what was asked for; the exit status is 1 if something grows with the square of the rows."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("what", nargs="*", help=f"numbers of rows, or `{CROWD}`; default: {SIZES} and {CROWD}")
    asked = parser.parse_args().what or [*map(str, SIZES), CROWD]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as on Ctrl-C
    if numbers := [int(word) for word in asked if word != CROWD]:
        with _stack() as (folder, running):
            for rows in numbers:
                say(f"an import of {rows:,} rows")
                save(ROWS, rows, growing.measured(running, folder, rows))
        for rows in numbers:
            with tempfile.TemporaryDirectory(prefix="face-import-reads-") as name:
                save(READS, rows, reads.measured(Path(name), rows))
    if CROWD in asked:
        with _stack() as (_, running):
            for finished, active in STEPS:
                say(f"{finished:,} finished imports, {active} running ones")
                save(CROWD, (finished, active), crowd(running, finished, active))
    found = faults(by_size(load()[ROWS]))
    for fault in found:
        say(fault)
    return 1 if found else 0


@contextmanager
def _stack() -> Iterator[tuple[Path, RealStack]]:
    """A folder and a stack on databases of its own, whose shards simulate pictures and services."""
    with (
        tempfile.TemporaryDirectory(prefix="face-import-growth-") as name,
        services(folder := Path(name), photograph(side=96)) as server,  # `plan` makes the group
        servers.databases(2) as (catalogue, airflow),
        RealStack(
            folder / "home",
            checkout(folder / "checkout"),
            FACE_IMPORT_DATABASE_URL=catalogue,
            FACE_IMPORT_START_TIMEOUT_S="600",
            FACE_IMPORT_AIRFLOW_DATABASE_URL=airflow,
            FACE_IMPORT_INFO_URL=server.url,
            FACE_IMPORT_LIBRARY_URL=server.url,
        ) as running,
    ):
        yield folder, running


if __name__ == "__main__":
    raise SystemExit(main())
