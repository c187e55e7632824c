"""Row 6: taking in a CSV of a million rows, against `csv.reader` alone, and a workbook, against calamine alone."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

import xlsxwriter

from bench.figures import Figure, at_least, at_most, pairs, ratios
from bench.workbench import Workbench, child

ROWS, FEW_ROWS, SHEET_ROWS = 1_000_000, 10_000, 100_000
MOST_MB = 150
MOST_GROWN_MB = 10
MOST_OF_CALAMINE = 3


def intake(bench: Workbench) -> Iterator[Figure]:
    """Time and memory, each run in a fresh process."""
    many, few = (_source(bench.folder / f"{rows}.csv", rows) for rows in (ROWS, FEW_ROWS))
    home = bench.folder / "intake"
    peaks = []

    def ours() -> float:
        told = child("bench.intake_process", "store", many, home)
        assert told["rows"] == ROWS, told
        peaks.append(told["peak_mb"])
        return float(told["seconds"])

    measured = pairs(ours, lambda: float(child("bench.intake_process", "read", many, home)["seconds"]))
    seconds, reader = (median(side) for side in zip(*measured, strict=True))
    note = f"{seconds:.2f} s, csv.reader {reader:.2f} s"
    inverse = [1 / ratio for ratio in ratios(measured)]
    yield at_least(6, "intake of 1,000,000 rows: rows/s / csv.reader's", 0.6, inverse, note=note)
    yield at_most(6, "peak memory of that process", MOST_MB, peaks, unit="MB")
    small = [child("bench.intake_process", "store", few, home)["peak_mb"] for _ in range(3)]
    grown = [peak - median(small) for peak in peaks]
    note = f"{median(small):.0f} MB at {FEW_ROWS:,} rows"
    yield at_most(6, "its growth from 10,000 to 1,000,000 rows", MOST_GROWN_MB, grown, unit="MB", note=note)
    yield _workbook(bench.folder, home)


def _workbook(folder: Path, home: Path) -> Figure:
    """A workbook's whole intake takes little more than twice what its reader alone does."""
    workbook = _sheet(folder / "sheet.xlsx")
    measured = pairs(
        lambda: float(child("bench.intake_process", "store", workbook, home)["seconds"]),
        lambda: float(child("bench.intake_process", "calamine", workbook, home)["seconds"]),
    )
    seconds, reader = (median(side) for side in zip(*measured, strict=True))
    what = f"intake of an xlsx of {SHEET_ROWS:,} rows: seconds / calamine's alone"
    return at_most(6, what, MOST_OF_CALAMINE, ratios(measured), note=f"{seconds:.2f} s, calamine {reader:.2f} s")


def _source(path: Path, rows: int) -> Path:
    with path.open("w") as file:
        file.writelines(
            f"https://images.example.org/people/{n}/portrait.jpg,tag{n},person number {n}\n" for n in range(rows)
        )
    return path


def _sheet(path: Path) -> Path:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for n in range(SHEET_ROWS):
            row = [f"https://images.example.org/people/{n}/portrait.jpg", f"tag{n}", f"person number {n}", f"{n:06}"]
            for column, text in enumerate(row if n else ["uri", "tag", "description", "id"]):
                sheet.write_string(n, column, text)
    return path
