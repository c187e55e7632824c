"""What results cost while they are written."""

import tracemalloc
from io import BytesIO

import pytest

from api_shim.results_csv import results_csv
from face_import.catalogue import Catalogue, Selection, TaskConfig
from face_import.contract import Mode, Rows, TaskState
from face_import.domain.models import Limits
from face_import.results import Results
from face_import.settings import Settings
from face_import.sources import Storage

CELL = 2**23
TIMES = 10
MOST = 6 * 2**20


def peak_of(settings: Settings, catalogue: Catalogue, task_id: str, data: bytes) -> tuple[int, int]:
    """Peak of traced memory while all rows of a file are written as results, and the number of characters."""
    storage = Storage.of(settings)
    index = storage.store(task_id, BytesIO(data))
    config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=index.rows)
    del data
    tracemalloc.start()
    try:
        written = sum(len(piece) for piece in results_csv(Results(catalogue, storage, task_id), Selection(Rows.ALL)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak, written


def test_memory_does_not_grow_with_the_rows(settings: Settings, catalogue: Catalogue) -> None:
    """A file of fifty thousand rows, each with a small image in it, is never held."""
    row = b'"data:image/jpeg;base64,' + b"QUJD" * 250 + b'",name\n'
    peak, written = peak_of(settings, catalogue, "A" * 12, row * 50_000)
    assert written > 50_000_000
    assert peak < MOST, f"{peak / 2**20:.1f} MiB"


@pytest.mark.parametrize("cell", ["x" * CELL, "人" * (CELL // 3)], ids=["ascii", "chinese"])
def test_the_largest_cell_is_held_a_few_times_only(settings: Settings, catalogue: Catalogue, cell: str) -> None:
    """One at a time, however many there are."""
    data = f'http://b\na,"{cell}"\nb,"{cell}"\nc,"{cell}"\n'.encode()
    peak, written = peak_of(settings, catalogue, "B" * 12, data)
    assert written > 3 * len(cell)
    assert peak < TIMES * CELL, f"{peak / CELL:.1f} times"
