"""Takes a source in, or only reads it, with nothing imported that intake does not need."""

import csv
import json
import sys
import time
from pathlib import Path

from face_import.settings import Settings
from face_import.sources.storage import Storage
from tests.memory import peak_bytes


def _store(source: Path, home: Path) -> int:
    storage = Storage.of(Settings(home=home))
    with source.open("rb") as file:
        rows = storage.store("bench0000000", file).rows
    storage.delete("bench0000000")
    return rows


def _read(source: Path) -> int:
    with source.open(newline="") as file:
        return sum(1 for _ in csv.reader(file))


def _calamine(source: Path) -> int:
    from python_calamine import CalamineWorkbook  # noqa: PLC0415 - the other measurements do not need it

    return len(CalamineWorkbook.from_path(source).get_sheet_by_index(0).to_python())


def main(what: str, source: Path, home: Path) -> None:
    """Take a source in, or only read it; prints the seconds and this process's peak memory."""
    began = time.perf_counter()
    match what:
        case "store":
            rows = _store(source, home)
        case "calamine":
            rows = _calamine(source)
        case _:
            rows = _read(source)
    seconds = time.perf_counter() - began
    print(json.dumps({"rows": rows, "seconds": seconds, "peak_mb": peak_bytes() / 2**20}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
