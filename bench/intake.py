"""Row 6: taking in a CSV of a million rows, against `csv.reader` alone."""

import csv
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.figures import Figure, at_least, at_most, pairs, ratios
from bench.workbench import Workbench, child
from face_import.settings import Settings
from face_import.sources.storage import Storage

ROWS, FEW_ROWS = 1_000_000, 10_000
MOST_MB = 150


def intake(bench: Workbench) -> Iterator[Figure]:
    """Time and memory, each run in a fresh process."""
    many, few = (_source(bench.folder / f"{rows}.csv", rows) for rows in (ROWS, FEW_ROWS))
    home = bench.folder / "intake"
    peaks = []

    def ours() -> float:
        told = child("bench.intake", "store", many, home)
        peaks.append(told["peak_mb"])
        return float(told["seconds"])

    measured = pairs(ours, lambda: float(child("bench.intake", "read", many, home)["seconds"]))
    seconds, reader = (median(side) for side in zip(*measured, strict=True))
    note = f"{seconds:.2f} s, csv.reader {reader:.2f} s"
    inverse = [1 / ratio for ratio in ratios(measured)]
    yield at_least(6, "intake of 1,000,000 rows: rows/s / csv.reader's", 0.6, inverse, note=note)
    yield at_most(6, "peak memory of that process", MOST_MB, peaks, unit="MB")
    small = [child("bench.intake", "store", few, home)["peak_mb"] for _ in range(3)]
    note = f"{median(small):.0f} MB at {FEW_ROWS:,} rows"
    yield at_most(6, "its peak at 1,000,000 rows / at 10,000", 1.1, [p / median(small) for p in peaks], note=note)


def _source(path: Path, rows: int) -> Path:
    with path.open("w") as file:
        file.writelines(
            f"https://images.example.org/people/{n}/portrait.jpg,tag{n},person number {n}\n" for n in range(rows)
        )
    return path


def _store(source: Path, home: Path) -> int:
    storage = Storage.of(Settings(home=home))
    with source.open("rb") as file:
        rows = storage.store("bench0000000", file).rows
    storage.delete("bench0000000")
    return rows


def _read(source: Path) -> int:
    with source.open(newline="") as file:
        return sum(1 for _ in csv.reader(file))


def main(what: str, source: Path, home: Path) -> None:
    """Take a source in, or only read it; prints the seconds and this process's peak memory."""
    began = time.perf_counter()
    rows = _store(source, home) if what == "store" else _read(source)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "peak_mb": peak}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
