"""What the largest cell costs while it is read."""

import tracemalloc
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

import pytest

from face_console.columns import SHOWN_CHARACTERS
from face_console.preview import preview
from face_import.sources import Bounds

CELL = 2**23
TIMES = 7
"""As text, in csv.reader's buffer of four bytes a character, and as a row: 6; each further copy would be one more."""


@pytest.mark.parametrize(
    ("cell", "encoding"),
    [
        pytest.param("x" * CELL, "utf-8", id="ascii"),
        pytest.param('"' + "x" * CELL + '"', "utf-8", id="quoted"),
        pytest.param("人" * (CELL // 3), "utf-8", id="chinese"),
        pytest.param("人" * (CELL // 3), "gb18030", id="gb18030"),
        pytest.param("x" * CELL, "utf-16", id="utf-16"),
    ],
)
def test_the_largest_cell_is_held_a_few_times_only(tmp_path: Path, cell: str, encoding: str) -> None:
    """Taking it in and reading it back stay below seven times its size."""
    bounds = Bounds(source_bytes=2**30, cell_bytes=CELL)
    with TemporaryFile() as file:
        file.write(f"http://b\na,{cell}\nb\n".encode(encoding))
        file.seek(0)
        tracemalloc.start()
        try:
            seen = preview(cast("BinaryIO", file), bounds, tmp_path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert [row[1] for row in seen.table.rows] == ["", cell.strip('"')[:SHOWN_CHARACTERS] + "…", ""]
    assert peak < TIMES * CELL + 2**21, f"{peak / CELL:.1f} times"
