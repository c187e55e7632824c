"""The guard against formulas in cells can be undone, whatever a cell is."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_shim.log_csv import log_csv
from face_import.domain.cells import guarded, unguarded

CELLS = st.text("'\"=-＝@\t\r\n \ufeffa1;")


@given(CELLS | st.text())
def test_the_guard_is_undone(cell: str) -> None:
    """A cell is got back, and so is what is no formula, though it was never guarded."""
    assert unguarded(guarded(cell)) == cell


@given(CELLS, CELLS)
def test_no_two_cells_are_guarded_alike(one: str, other: str) -> None:
    """Otherwise one of them would be lost."""
    assert (guarded(one) == guarded(other)) == (one == other)


@given(CELLS)
def test_what_the_log_guards_is_guarded(cell: str) -> None:
    """Results are as safe as the log."""
    text = "".join(log_csv([[(1, cell, 101, "")]], raw=False))
    ((shown, _, _),) = csv.reader(io.StringIO(text, newline=""))
    assert shown in {cell, guarded(cell)}


@pytest.mark.parametrize(
    ("cell", "guard"),
    [
        ("=1+1", "'=1+1"),
        ("'=1+1", "''=1+1"),
        ("'\tx", "''\tx"),
        ("'''-", "''''-"),
        (" ＝1", "' ＝1"),
        ("'tis", "'tis"),
        ("a=1", "a=1"),
        ("'", "'"),
        ("", ""),
    ],
)
def test_only_dangerous_cells_are_changed(cell: str, guard: str) -> None:
    """An apostrophe is a letter like others where no formula follows."""
    assert guarded(cell) == guard
